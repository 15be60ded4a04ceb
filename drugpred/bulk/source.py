"""The interface of a file of rows, in parts that can be read independently, each in chunks."""

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

FORMATS: Final = (".csv", ".parquet")  # output formats, by file name ending


class Part(NamedTuple):
    """A section of a file."""

    start: int  # first byte, or first row group
    stop: int
    line: int  # number of the first line or row
    size: int  # unit of the progress: bytes of a CSV, rows of Parquet


class Chunk(NamedTuple):
    """Some thousand consecutive rows."""

    columns: dict[str, pa.Array]  # by input, with the id if there is one
    lines: NDArray[Any]  # line of each row in the file; in Parquet its number, from 1
    malformed: list[tuple[int, str]]  # lines that could not be parsed, with the expected value; they are in no column
    size: int  # unit of the progress: bytes of a CSV, rows of Parquet


@dataclass(frozen=True)
class Source(ABC):
    """A file of rows, opened only while it is read; other processes may have a copy of this object."""

    path: Path
    mapping: ColumnMapping
    """Maps columns to inputs."""
    id_type: pa.DataType
    """Type of the id, if there is one."""
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
