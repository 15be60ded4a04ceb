"""The interface of a file of rows, in parts that can be read independently, each in chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from drugpred.bulk.column_mapping import ColumnMapping
    from drugpred.bulk.storage import File


class Part(NamedTuple):
    """A section of a file."""

    start: int  # first byte, or first row group
    stop: int
    line: int  # number of the first line or row
    size: int  # number of lines or rows


class Chunk(NamedTuple):
    """Some thousand consecutive rows."""

    columns: dict[str, pa.Array]  # by input, with the id if there is one, and the columns to carry over by heading
    lines: NDArray[Any]  # line of each row in the file; in Parquet its number, from 1
    malformed: list[tuple[int, str]]  # lines that could not be parsed, with the expected value; they are in no column
    size: int  # number of lines or rows


@dataclass(frozen=True)
class Source(ABC):
    """A file of rows, opened only while it is read; other processes may have a copy of this object."""

    path: File
    mapping: ColumnMapping
    """Maps columns to inputs."""
    id_type: pa.DataType
    """Type of the id, if there is one."""
    kept_types: tuple[pa.DataType, ...]
    """Types of the columns to carry over."""
    parts: tuple[Part, ...]
    """All parts, in order."""

    @abstractmethod
    def chunks(self, part: Part) -> Iterator[Chunk]:
        """Yield the rows of a part in chunks, in constant memory.

        Raises
        ------
        DataError
            The file cannot be read.
        """
