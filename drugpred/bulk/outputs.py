"""The files of a run: what each part leaves behind, and how they become one.

A part is written under other names and renamed when it is whole, its counts last: only a part with counts is done.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.csv
from pyarrow import parquet

from drugpred.data.files import open_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["REJECTED", "Counts", "Parts", "join", "join_rejected"]

_BUFFER: Final = 1 << 20
_BATCHES: Final = 4
"""Of a part, in a row group of the output: some 65,000 rows."""
REJECTED: Final = b"line,column,expected\n"
"""The first line of a file of rejected rows."""


class Counts(NamedTuple):
    """Rows of a part, or of all."""

    scored: int
    rejected: int


class _Writer(Protocol):
    def write_batch(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


class Parts(NamedTuple):
    """Files of parts in a folder."""

    folder: Path
    schema: pa.Schema
    format: str
    """Of the output, one of `drugpred.bulk.source.FORMATS`: for Parquet, parts are Arrow streams, encoded but once."""

    def scored(self, number: int) -> Path:
        """Return the file of a part's scored rows."""
        return self.folder / f"{number:06}{self.format}"

    def rejected(self, number: int) -> Path:
        """Return the file of a part's rejected rows."""
        return self.folder / f"{number:06}.rejected.csv"

    def counts(self, number: int) -> Counts | None:
        """Return what was counted in a part; None where it is not done."""
        try:
            return Counts(**json.loads(self._counted(number).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def _counted(self, number: int) -> Path:
        return self.folder / f"{number:06}.json"

    def write(self, number: int, chunks: Iterable[tuple[pa.RecordBatch, list[tuple[int, str, str]], int]]) -> Counts:
        """Write a part.

        Parameters
        ----------
        number : int
        chunks : iterable
            Of scored rows, what is rejected (line, column and what was expected) and of how many rows that is.
        """
        scored = rejected = 0
        # Two workers may have the same part, if one was thought lost.
        with (
            open_atomic(self.scored(number)) as into,
            open_atomic(self.rejected(number)) as refused,
            self._writer(into) as writer,
        ):
            for batch, told, n_rejected in chunks:
                writer.write_batch(batch)
                refused.write(_text(told))
                scored += len(batch)
                rejected += n_rejected
        counts = Counts(scored, rejected)
        with open_atomic(self._counted(number)) as file:
            file.write(json.dumps(counts._asdict()).encode())
        return counts

    @contextmanager
    def _writer(self, file: BinaryIO) -> Iterator[_Writer]:
        if self.format == ".csv":
            options = pa.csv.WriteOptions(include_header=False)
            with pa.csv.CSVWriter(file, self.schema, write_options=options) as writer:
                yield writer
        else:
            with pa.ipc.new_stream(file, self.schema) as writer:
                yield writer


def join(parts: Parts, n_parts: int, output: Path) -> None:
    """Make one file of all parts, in their order, batch by batch."""
    made = parts.folder / f"joined{parts.format}"
    if parts.format == ".csv":
        with made.open("wb") as file:
            file.write(_text([parts.schema.names]))
            _append(file, map(parts.scored, range(n_parts)))
    else:
        # Probabilities hardly repeat, so that dictionaries and compression would cost time and save nothing.
        key = parts.schema.names[0]
        # As bytes, because a name may be no UTF-8.
        with (
            pa.OSFile(os.fsencode(made), "wb") as file,
            parquet.ParquetWriter(file, parts.schema, use_dictionary=False, compression={key: "snappy"}) as writer,
        ):
            for number in range(n_parts):
                with pa.OSFile(os.fsencode(parts.scored(number))) as source, pa.ipc.open_stream(source) as batches:
                    while some := list(islice(batches, _BATCHES)):
                        writer.write_table(pa.Table.from_batches(some))
    made.replace(output)


def join_rejected(parts: Parts, n_parts: int, output: Path) -> None:
    """Make one file of all parts' rejected rows."""
    made = parts.folder / "joined.rejected.csv"
    with made.open("wb") as file:
        file.write(REJECTED)
        _append(file, map(parts.rejected, range(n_parts)))
    made.replace(output)


def _text(rows: Iterable[Iterable[object]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def _append(file: BinaryIO, paths: Iterable[Path]) -> None:
    for path in paths:
        with path.open("rb") as part:
            shutil.copyfileobj(part, file, _BUFFER)
