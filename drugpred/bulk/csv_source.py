"""Rows of a CSV file: one line is one record, so that a stray quote swallows nothing, as in `drugpred.data.forms`.

pyarrow takes blocks of lines apart at once. Where it might see lines otherwise than one by one, each is parsed alone.
"""

from __future__ import annotations

import csv
from codecs import BOM_UTF8
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv

from drugpred.bulk.headings import ID, Headings, find
from drugpred.bulk.source import Chunk, Part
from drugpred.codebook import CATEGORIES, INPUTS
from drugpred.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["CsvSource"]

_PART_BYTES: Final = 1 << 24
_BLOCK_BYTES: Final = 1 << 22
_LONGEST_HEADER: Final = 1 << 20

_LABELS: Final = pa.dictionary(pa.int32(), pa.string())
_TEXTS: Final = {name: pa.string() for name in (ID, *INPUTS)} | {category.name: _LABELS for category in CATEGORIES}
_NUMBERS: Final = {name: pa.float64() for name in INPUTS} | {
    name: _TEXTS[name] for name in (ID, *(category.name for category in CATEGORIES))
}


class _LineError(Exception):
    """A line cannot be taken apart; the message is what was expected."""


@dataclass(frozen=True)
class CsvSource:
    """Rows of a CSV file, see `Source`."""

    id_type: ClassVar = pa.string()

    path: Path
    headings: Headings
    parts: tuple[Part, ...]
    names: tuple[str, ...]
    """The input of each field, "id", or for any other its place."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a file's header and find where its parts begin, which reads it once.

        Raises
        ------
        DataError
            The file cannot be read, or its header is not as expected.
        """
        with _open(path) as file:
            header = file.readline(_LONGEST_HEADER)
            try:
                found = _fields(header.removeprefix(BOM_UTF8))
            except _LineError as error:
                raise DataError(f"expected {error}", line=1) from None
            headings = find(found)
            parts = tuple(_parts(file, len(header)))
        meant = {heading: name for name, heading in headings.inputs.items()}
        if headings.id is not None:
            meant[headings.id] = ID
        return cls(path, headings, parts, tuple(meant.get(name, str(i)) for i, name in enumerate(found)))

    def chunks(self, part: Part) -> Iterator[Chunk]:
        """Read a part."""
        line = part.line
        with _open(self.path) as file:
            for block in _blocks(file, part.start, part.stop):
                n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
                columns, places, malformed = self._at_once(block, n_lines) or self._one_by_one(block)
                yield Chunk(columns, places + line, [(line + i, told) for i, told in malformed], len(block))
                line += n_lines

    def _at_once(self, block: bytes, n_lines: int) -> _Parsed | None:
        """Parse lines with pyarrow, or return None where it cannot be told that it sees them as they are."""
        width = len(self.names)
        # Stands for the next line: whatever is left open at the end of the block takes it in.
        sentinel = b"," * (width - 1) + b"\n"
        block = (block if block.endswith(b"\n") else block + b"\n") + sentinel
        if not _is_plain(block):
            return None
        for types in (_NUMBERS, _TEXTS):
            malformed: list[tuple[int, str]] = []

            def skip(row: pa.csv.InvalidRow, malformed: list[tuple[int, str]] = malformed) -> str:
                malformed.append((row.number - 1, f"{width} fields"))
                return "skip"

            try:
                table = pa.csv.read_csv(
                    pa.BufferReader(block),
                    pa.csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=self.names),
                    pa.csv.ParseOptions(ignore_empty_lines=False, invalid_row_handler=skip),
                    pa.csv.ConvertOptions(
                        check_utf8=False,
                        column_types=types,
                        null_values=[""],
                        strings_can_be_null=True,
                        include_columns=[name for name in self.names if name in _TEXTS],
                    ),
                )
            except pa.ArrowInvalid:  # some score is no number, or pyarrow lost its way
                continue
            if len(table) + len(malformed) != n_lines + 1:
                return None
            columns = {name: table[name].combine_chunks().slice(0, len(table) - 1) for name in table.column_names}
            return columns, np.delete(np.arange(n_lines), [i for i, _ in malformed]), malformed
        return None

    def _one_by_one(self, block: bytes) -> _Parsed:
        rows, places, malformed = [], [], []
        for i, line in enumerate(block.removesuffix(b"\n").split(b"\n")):
            try:
                rows.append(_fields(line, len(self.names)))
                places.append(i)
            except _LineError as error:
                malformed.append((i, str(error)))
        columns = {
            name: pa.array([row[i] or None for row in rows], pa.string())
            for i, name in enumerate(self.names)
            if name in _TEXTS
        }
        return columns, np.array(places, np.int64), malformed


if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Parsed = tuple[dict[str, pa.Array], NDArray[np.int64], list[tuple[int, str]]]


def _is_plain(block: bytes) -> bool:
    """Tell whether lines end alike, none is empty, all is UTF-8 and quotes stand at the ends of fields only."""
    if block.count(b"\r") != block.count(b"\r\n") or b"\n\n" in block or b"\n\r" in block or block[0] in b"\r\n":
        return False
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError:
            return False
    characters = np.frombuffer(b"\n" + block, np.uint8)
    quotes = np.flatnonzero(characters == ord('"'))
    ends = np.zeros(256, np.bool_)
    ends[list(b',"\r\n')] = True
    return bool((ends[characters[quotes - 1]] | ends[characters[quotes + 1]]).all())


def _fields(line: bytes, width: int | None = None) -> list[str]:
    """Return a line's fields."""
    try:
        fields = next(csv.reader((line.decode(),), strict=True), [])
    except UnicodeDecodeError:
        raise _LineError("text in UTF-8") from None
    except csv.Error:
        raise _LineError("fields separated by commas, every quote closed") from None
    if width is not None and len(fields) != width:
        raise _LineError(f"{width} fields")
    return fields


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _parts(file: BinaryIO, start: int) -> Iterator[Part]:
    line = 2
    while block := _lines(file, _PART_BYTES):
        yield Part(start, start + len(block), line, len(block))
        start += len(block)
        line += block.count(b"\n")


def _blocks(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    file.seek(start)
    while start < stop and (block := _lines(file, min(_BLOCK_BYTES, stop - start))):
        yield block
        start += len(block)


def _lines(file: BinaryIO, size: int) -> bytes:
    """Read about as many bytes, up to the end of a line."""
    block = file.read(size)
    return block if block.endswith(b"\n") else block + file.readline()
