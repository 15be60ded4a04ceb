"""What a file of rows is to the rest: parts that can be read one without the other, and each in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from drugpred.bulk.headings import Headings

__all__ = ["FORMATS", "Chunk", "Part", "Source"]

FORMATS: Final = (".csv", ".parquet")
"""Endings of the names of outputs, which tell the format."""


class Part(NamedTuple):
    """A stretch of a file."""

    start: int
    """Its first byte, or its first row group."""
    stop: int
    line: int
    """The number of its first line, or row."""
    size: int
    """What progress is counted in: bytes of a CSV, rows of Parquet."""


class Chunk(NamedTuple):
    """Some thousand consecutive rows."""

    columns: dict[str, pa.Array]
    """By input, and the id where there is one."""
    lines: NDArray[Any]
    """Of the same length: a row's line in the file, for Parquet its place counted from 1."""
    malformed: list[tuple[int, str]]
    """Lines that could not be taken apart, with what was expected; they are in no column."""
    size: int
    """What progress is counted in: bytes of a CSV, rows of Parquet."""


class Source(Protocol):
    """A file of rows, opened only to read; other processes may have a copy of this object."""

    @property
    def headings(self) -> Headings:
        """Of its columns."""
        ...

    @property
    def id_type(self) -> pa.DataType:
        """Of the id, or of lines."""
        ...

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of it, in order."""
        ...

    def chunks(self, part: Part) -> Iterator[Chunk]:
        """Read a part, in constant memory.

        Raises
        ------
        DataError
            The file cannot be read.
        """
        ...
