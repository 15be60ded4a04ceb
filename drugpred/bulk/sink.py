"""The files of a run: those of each part, and how they become the output.

The output OUT is one file, joined from parts in the folder OUT.parts, or a data set: a folder of parts. A part
is done if its record is in OUT.parts, which is written last.

A part of another run never replaces one of this run: before a part gets its name, the mark of the run is compared.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.csv
from pyarrow import parquet

from drugpred.bulk.column_mapping import ID
from drugpred.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from drugpred.bulk.storage import Place

FORMATS: Final = (".csv", ".parquet")  # of an output that is one file, by its name's ending
FILE: Final = "file"  # column that names the input, if there may be several
MARK_START: Final = '{"drugpred score": '  # start of the files that mark a folder or a data set as those of a run
LINE: Final = "line"  # column that identifies rows if the file has no id

_REJECTED: Final = (LINE, "column", "expected")
_BUFFER: Final = 1 << 20
_BATCHES: Final = 4  # of a part, in each row group of the output: some 100,000 rows


class Scored(NamedTuple):
    """The result of scoring a chunk of rows."""

    batch: pa.RecordBatch  # the scored rows
    faults: list[tuple[int, str, str]]
    """Line, column and expected value of each fault in the rejected rows."""
    rejected: int  # number of rejected rows


class Record(NamedTuple):
    """The result of scoring a part."""

    number: int
    """Of the part, from 0."""
    scored: int
    """Number of scored rows."""
    rejected: int
    """Number of rejected rows."""
    faults: dict[str, int]
    """Number of faults in each column; of a malformed line, by the expected value."""
    sizes: Sequence[int]
    """Bytes of the scored rows and of the rejected ones."""


class Sink(NamedTuple):
    """The files of a run."""

    place: Place
    name: str
    """Of the output, in this place."""
    format: str
    """One of `FORMATS`, or empty for a data set. Parts of a file of Parquet are Arrow streams: it is encoded once."""
    schema: pa.Schema
    carried: tuple[str, ...]
    """Names of its columns that are no predictions."""
    file: str | None
    """The input, if rejected rows need it in addition to the line."""
    mark: str
    """Mark of the run."""

    @property
    def folder(self) -> str:
        """Folder of the run's own files."""
        return f"{self.name}.parts"

    @property
    def marker(self) -> str:
        """File with the mark."""
        return f"{self.folder}/run.json"

    @property
    def rejected(self) -> str:
        """File of the rejected rows, or folder of their files for a data set."""
        return f"{self.name}.rejected{'.csv' if self.format else ''}"

    @property
    def manifest(self) -> str:
        """File that is written last for a data set."""
        return f"{self.name}.manifest.json"

    def path(self, number: int) -> str:
        """Return the file of a part's scored rows."""
        return f"{self.folder}/{number:06}{self.format}" if self.format else f"{self.name}/part-{number:05}.parquet"

    def rejected_path(self, number: int) -> str:
        """Return the file of a part's rejected rows; it exists if there are any."""
        if self.format:
            return f"{self.folder}/{number:06}.rejected.csv"
        return f"{self.rejected}/part-{number:05}.csv"

    def record_path(self, number: int) -> str:
        """Return the file of a part's record."""
        return f"{self.folder}/{number:06}.json"

    @property
    def header(self) -> bytes:
        """Header of the rejected rows."""
        return _csv([(FILE, *_REJECTED) if self.file else _REJECTED])

    def record(self, number: int) -> Record | None:
        """Return the record of a part, or None if there is none."""
        content = self.place.read(self.record_path(number))
        if content is None:
            return None
        return Record(**json.loads(content))

    def write(self, number: int, chunks: Iterable[Scored]) -> Record:
        """Write a part.

        Raises
        ------
        DataError
            Another run writes the same output now.
        """
        scored = rejected = 0
        reasons: Counter[str] = Counter()
        # Two workers may write the same part, if one was thought lost.
        with self.place.write(self.path(number)) as rows, self.place.write(self.rejected_path(number)) as faults:

            def batches() -> Iterator[pa.RecordBatch]:
                nonlocal scored, rejected
                for chunk in chunks:
                    if chunk.rejected and not rejected and not self.format:
                        faults.write(self.header)
                    faults.write(_csv((self.file, *fault) if self.file else fault for fault in chunk.faults))
                    reasons.update(column or expected for _, column, expected in chunk.faults)
                    scored += len(chunk.batch)
                    rejected += chunk.rejected
                    yield chunk.batch

            self._write_rows(rows, batches())
            sizes = rows.tell(), faults.tell()
            if self.place.read(self.marker) != self.mark.encode():
                raise DataError(f"expected no other run to write {self.place.text(self.name)}")
        record = Record(number, scored, rejected, dict(reasons), sizes)
        with self.place.write(self.record_path(number)) as file:
            file.write(json.dumps(record._asdict()).encode())
        return record

    def _write_rows(self, file: BinaryIO, batches: Iterator[pa.RecordBatch]) -> None:
        if not self.format:
            self._write_parquet(file, batches)
            return
        if self.format == ".csv":
            options = pa.csv.WriteOptions(include_header=False)
            stream = pa.csv.CSVWriter(file, self.schema, write_options=options)
        else:
            stream = pa.ipc.new_stream(file, self.schema)
        with stream:
            for batch in batches:
                stream.write_batch(batch)

    def _write_parquet(self, file: Any, batches: Iterator[pa.RecordBatch]) -> None:  # noqa: ANN401 - pyarrow's or Python's
        # Probabilities rarely repeat, so dictionaries and compression would cost time and save nothing.
        compression = dict.fromkeys(self.carried, "snappy")
        repeated = [name for name in self.carried if name not in {ID, LINE}]
        with parquet.ParquetWriter(
            file,
            self.schema,
            use_dictionary=repeated or False,
            compression=compression,
            write_statistics=list(self.carried),  # those of probabilities would exclude no row group
        ) as writer:
            while group := list(islice(batches, _BATCHES)):
                writer.write_table(pa.Table.from_batches(group))

    def join(self, folder: Path, n_parts: int, rejected: int) -> None:
        """Write one file of the scored rows of all parts, in order, and one of the rejected rows, if any.

        Both are written batch by batch, and replace older ones.

        Parameters
        ----------
        folder : pathlib.Path
            That of the place.
        n_parts : int
        rejected : int
            Number of rejected rows.
        """
        output, faults = folder / self.name, folder / self.rejected
        if rejected:
            self._join_texts(folder, map(self.rejected_path, range(n_parts)), self.header, faults)
        else:
            faults.unlink(missing_ok=True)
        if self.format == ".csv":
            self._join_texts(folder, map(self.path, range(n_parts)), _csv([self.schema.names]), output)
        else:
            self._join_streams(folder, n_parts, output)

    def _join_texts(self, folder: Path, parts: Iterable[str], header: bytes, output: Path) -> None:
        joined = folder / self.folder / "joined.csv"
        with joined.open("wb") as file:
            file.write(header)
            for path in (folder / part for part in parts):
                if path.exists():
                    with path.open("rb") as part:
                        shutil.copyfileobj(part, file, _BUFFER)
        joined.replace(output)

    def _join_streams(self, folder: Path, n_parts: int, output: Path) -> None:
        def batches() -> Iterator[pa.RecordBatch]:
            for number in range(n_parts):
                stream = os.fsencode(folder / self.path(number))
                with pa.OSFile(stream) as source, pa.ipc.open_stream(source) as part:
                    yield from part

        joined = folder / self.folder / "joined.parquet"
        # As bytes, because a name may not be UTF-8.
        with pa.OSFile(os.fsencode(joined), "wb") as file:
            self._write_parquet(file, batches())
        joined.replace(output)


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()
