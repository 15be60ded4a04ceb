"""The interface of a file of rows: parts that can be read independently, each in chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from drugpred.bulk.column_mapping import ColumnMapping

FORMATS: Final = (".csv", ".parquet")  # the formats of outputs, by the endings of their names


class Part(NamedTuple):
    """A stretch of a file."""

    start: int  # its first byte, or its first row group
    stop: int
    line: int  # the number of its first line, or row
    size: int  # what progress is counted in: bytes of a CSV, rows of Parquet


class Chunk(NamedTuple):
    """Some thousand consecutive rows."""

    columns: dict[str, pa.Array]  # by input, and the id if there is one
    lines: NDArray[Any]  # of the same length: a row's line in the file, in Parquet its number from 1
    malformed: list[tuple[int, str]]  # lines that could not be parsed, with what was expected; they are in no column
    size: int  # what progress is counted in: bytes of a CSV, rows of Parquet


@dataclass(frozen=True)
class Source(ABC):
    """A file of rows, opened only while it is read; other processes may have a copy of this object."""

    path: Path
    mapping: ColumnMapping
    """Of its columns to inputs."""
    id_type: pa.DataType
    """Of the id, if there is one."""
    parts: tuple[Part, ...]
    """All of it, in order."""

    @abstractmethod
    def chunks(self, part: Part) -> Iterator[Chunk]:
        """Read a part, in constant memory.

        Raises
        ------
        DataError
            The file cannot be read.
        """
