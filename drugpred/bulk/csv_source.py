"""Rows of a CSV file. A line is a record, so that a stray quote affects one line only, as in `drugpred.data.parsing`.

A record with a line break in a quoted cell is malformed, at its first line and at its last. The separator is a comma, a
semicolon or a tab. A file may be in the UCI format. A gzipped file is a single part.

pyarrow parses blocks of lines at once. If it might not split a block line by line, each line is parsed alone.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from dataclasses import dataclass
from gzip import GzipFile
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv
from typing_extensions import override

from drugpred.bulk.column_mapping import ID, map_columns
from drugpred.bulk.source import Chunk, Part, Source
from drugpred.bulk.storage import open_binary
from drugpred.codebook import CATEGORIES, INPUTS
from drugpred.data.parsing import HEADINGS, find_delimiter, is_uci_form, split_fields
from drugpred.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from drugpred.bulk.storage import File

_PART_BYTES: Final = 1 << 24
_BLOCK_BYTES: Final = 1 << 22
_MAX_HEADER_BYTES: Final = 1 << 20

_LABELS: Final = pa.dictionary(pa.int32(), pa.string())
_TEXTS: Final = {name: pa.string() for name in (ID, *INPUTS)} | {category.name: _LABELS for category in CATEGORIES}
_NUMBERS: Final = {name: pa.float64() for name in INPUTS} | {
    name: _TEXTS[name] for name in (ID, *(category.name for category in CATEGORIES))
}


@dataclass(frozen=True)
class CsvSource(Source):
    """Rows of a CSV file."""

    names: tuple[str, ...]
    """The name of each field in a chunk, or its index below a line break if it is in none."""
    delimiter: str

    @classmethod
    def open(cls, path: File, keep: Sequence[str] = ()) -> Self:
        """Read a file's header, and the whole file once to find where its parts begin.

        Raises
        ------
        DataError
            The file cannot be read, or its header is malformed.
        """
        with open_binary(path) as file:
            start, line = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0, 1
            file.seek(start)
            header = file.readline(_MAX_HEADER_BYTES)
            delimiter, only_named = find_delimiter(header.decode(errors="replace"))
            if only_named:
                start, line, header = start + len(header), 2, file.readline(_MAX_HEADER_BYTES)
            try:
                headings = _fields(header, delimiter)
            except ValueError as error:
                raise DataError(f"expected {error}", line=line) from None
            if len(headings) == len(HEADINGS) and is_uci_form(headings):
                headings = list(HEADINGS.values())
            else:
                start, line = start + len(header), line + 1
            mapping = map_columns(headings, keep)
            file.seek(start)
            parts = _parts(file, start, line)
        if parts and isinstance(file, GzipFile):  # cannot be read from the middle
            parts = [Part(start, parts[-1].stop, line, sum(part.size for part in parts))]
        by_heading = mapping.names()
        names = tuple(by_heading.get(heading, f"\n{i}") for i, heading in enumerate(headings))
        return cls(path, mapping, pa.string(), (pa.string(),) * len(keep), tuple(parts), names, delimiter)

    @override
    def chunks(self, part: Part) -> Iterator[Chunk]:
        line = part.line
        with open_binary(self.path) as file:
            for block in _blocks(file, part.start, part.stop):
                n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
                columns, places, malformed = self._at_once(block, n_lines) or self._one_by_one(block)
                yield Chunk(columns, places + line, [(line + i, expected) for i, expected in malformed], n_lines)
                line += n_lines

    def _at_once(self, block: bytes, n_lines: int) -> _Parsed | None:
        """Parse lines with pyarrow; return None if it might not split them line by line."""
        width = len(self.names)
        # Takes the place of the next line: a cell left open at the end of the block would include it.
        sentinel = self.delimiter.encode() * (width - 1) + b"\n"
        block = (block if block.endswith(b"\n") else block + b"\n") + sentinel
        if not _is_plain(block, self.delimiter):
            return None
        by_heading = self.mapping.names()
        kept = {by_heading[heading]: pa.string() for heading in self.mapping.keep}
        for types in (_NUMBERS | kept, _TEXTS | kept):
            malformed: list[tuple[int, str]] = []

            def skip(row: pa.csv.InvalidRow, malformed: list[tuple[int, str]] = malformed) -> str:
                malformed.append((row.number - 1, f"{width} fields"))
                return "skip"

            try:
                table = pa.csv.read_csv(
                    pa.BufferReader(block),
                    pa.csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=self.names),
                    pa.csv.ParseOptions(delimiter=self.delimiter, ignore_empty_lines=False, invalid_row_handler=skip),
                    pa.csv.ConvertOptions(
                        check_utf8=False,
                        column_types=types,
                        null_values=[""],
                        strings_can_be_null=True,
                        include_columns=[name for name in self.names if name in types],
                    ),
                )
            except pa.ArrowInvalid:  # a score is no number, or lines were not split as expected
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
                rows.append(_fields(line, self.delimiter, len(self.names)))
                places.append(i)
            except ValueError as error:
                malformed.append((i, str(error)))
        columns = {
            name: pa.array([row[i] or None for row in rows], pa.string())
            for i, name in enumerate(self.names)
            if not name.startswith("\n")
        }
        return columns, np.array(places, np.int64), malformed


if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Parsed = tuple[dict[str, pa.Array], NDArray[np.int64], list[tuple[int, str]]]


def _is_plain(block: bytes, delimiter: str) -> bool:
    """Return whether all line ends are alike, no line is empty, all is UTF-8, and quotes begin and end fields."""
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return False
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError:
            return False
    characters = np.frombuffer(b"\n" + block, np.uint8)
    line_ends = np.flatnonzero(characters == ord("\n"))
    starts = characters[line_ends[:-1] + 1]
    if ((starts == ord("\n")) | (starts == ord("\r"))).any():
        return False
    quotes = np.flatnonzero(characters == ord('"'))
    if (np.searchsorted(quotes, line_ends) % 2).any():  # each pair must be in one line
        return False
    ends = np.zeros(256, np.bool_)
    ends[list(delimiter.encode() + b'"\r\n')] = True
    return bool((ends[characters[quotes[::2] - 1]] & ends[characters[quotes[1::2] + 1]]).all())


def _fields(line: bytes, delimiter: str, width: int | None = None) -> list[str]:
    """Return a line's fields, or raise ValueError with the expected value."""
    try:
        fields = split_fields(line.decode(), delimiter)
    except UnicodeDecodeError:
        raise ValueError("text in UTF-8") from None
    if width is not None and len(fields) != width:
        raise ValueError(f"{width} fields")
    return fields


def _parts(file: BinaryIO, start: int, line: int) -> list[Part]:
    """Return parts with all lines except blank ones at the end."""
    parts: list[Part] = []
    stop, last = start, 0  # end of the last line that is not blank, and its number in its part
    while block := _lines(file, _PART_BYTES):
        parts.append(Part(start, start + len(block), line, block.count(b"\n") + (not block.endswith(b"\n"))))
        if filled := len(block.rstrip(b"\r\n")):
            stop = start + (block.find(b"\n", filled) + 1 or len(block))
            last = block.count(b"\n", 0, filled) + 1
        start += len(block)
        line += block.count(b"\n")
    parts = [part for part in parts if part.start < stop]
    if parts:
        parts[-1] = parts[-1]._replace(stop=stop, size=last)
    return parts


def _blocks(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    file.seek(start)
    while start < stop and (block := _lines(file, min(_BLOCK_BYTES, stop - start))):
        yield block
        start += len(block)


def _lines(file: BinaryIO, size: int) -> bytes:
    """Read about `size` bytes, up to the end of a line."""
    block = file.read(size)
    return block if block.endswith(b"\n") else block + file.readline()
