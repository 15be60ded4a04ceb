"""The files of a run: those of each part, and how they are joined.

A part is written under temporary names and renamed when it is complete, its counts last: a part is done if it has
counts.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.csv
from pyarrow import parquet

from drugpred.data.files import open_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import BinaryIO

_BUFFER: Final = 1 << 20
_BATCHES: Final = 4  # of a part, in each row group of the output: some 100,000 rows
REJECTED: Final = b"line,column,expected\n"  # header of a file of rejected rows


class Counts(NamedTuple):
    """Numbers of scored and rejected rows, of a part or of all."""

    scored: int
    rejected: int


class Scored(NamedTuple):
    """The result of scoring a chunk of rows."""

    batch: pa.RecordBatch  # the scored rows
    faults: list[tuple[int, str, str]]
    """Line, column and expected value of each fault in the rejected rows."""
    rejected: int  # number of rejected rows


class Sink(NamedTuple):
    """The files of parts, in a folder."""

    folder: Path
    schema: pa.Schema
    format: str
    """One of `drugpred.bulk.source.FORMATS`. Parts of Parquet are Arrow streams, so that it is encoded only once."""

    def counts(self, number: int) -> Counts | None:
        """Return the counts of a part, or None if it is not done."""
        try:
            return Counts(**json.loads(self._file(number, ".json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def write(self, number: int, chunks: Iterable[Scored]) -> Counts:
        """Write a part."""
        scored = rejected = 0
        # Two workers may write the same part, if one was thought lost.
        with (
            open_atomic(self._file(number, self.format)) as rows,
            open_atomic(self._file(number, ".rejected.csv")) as faults,
            self._writer(rows) as writer,
        ):
            for chunk in chunks:
                writer.write_batch(chunk.batch)
                faults.write(_csv(chunk.faults))
                scored += len(chunk.batch)
                rejected += chunk.rejected
        counts = Counts(scored, rejected)
        with open_atomic(self._file(number, ".json")) as file:
            file.write(json.dumps(counts._asdict()).encode())
        return counts

    def join(self, n_parts: int, output: Path, rejected: Path) -> Counts:
        """Write one file of the scored rows of all parts, in order, and one of the rejected rows, if any.

        Both are written batch by batch, and replace older ones.
        """
        counts = [self.counts(number) or Counts(0, 0) for number in range(n_parts)]
        total = Counts(sum(part.scored for part in counts), sum(part.rejected for part in counts))
        if total.rejected:
            self._join_texts(n_parts, ".rejected.csv", REJECTED, rejected)
        else:
            rejected.unlink(missing_ok=True)
        if self.format == ".csv":
            self._join_texts(n_parts, ".csv", _csv([self.schema.names]), output)
        else:
            self._join_streams(n_parts, output)
        return total

    def _file(self, number: int, ending: str) -> Path:
        return self.folder / f"{number:06}{ending}"

    def _writer(self, file: BinaryIO) -> Any:  # noqa: ANN401 - without stubs pyarrow has no types
        if self.format == ".csv":
            return pa.csv.CSVWriter(file, self.schema, write_options=pa.csv.WriteOptions(include_header=False))
        return pa.ipc.new_stream(file, self.schema)

    def _join_texts(self, n_parts: int, ending: str, header: bytes, output: Path) -> None:
        joined = self.folder / f"joined{ending}"
        with joined.open("wb") as file:
            file.write(header)
            for number in range(n_parts):
                with self._file(number, ending).open("rb") as part:
                    shutil.copyfileobj(part, file, _BUFFER)
        joined.replace(output)

    def _join_streams(self, n_parts: int, output: Path) -> None:
        joined = self.folder / f"joined{self.format}"
        # Probabilities rarely repeat, so dictionaries and compression would cost time and save nothing.
        compression = {self.schema.names[0]: "snappy"}
        # As bytes, because a name may not be UTF-8.
        with (
            pa.OSFile(os.fsencode(joined), "wb") as file,
            parquet.ParquetWriter(file, self.schema, use_dictionary=False, compression=compression) as writer,
        ):
            for number in range(n_parts):
                stream = os.fsencode(self._file(number, self.format))
                with pa.OSFile(stream) as source, pa.ipc.open_stream(source) as batches:
                    while group := list(islice(batches, _BATCHES)):
                        writer.write_table(pa.Table.from_batches(group))
        joined.replace(output)


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()
