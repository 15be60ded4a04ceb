"""The people of a file, checked, for commands that measure all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from drugpred.bulk.encoding import encode
from drugpred.bulk.formats import open_source
from drugpred.tabular import validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from drugpred.bulk.source import Chunk

_ROWS: Final = 10_000  # predicted at once


class People(NamedTuple):
    """The people of a chunk."""

    chunk: Chunk
    possible: NDArray[np.bool_]
    """Whether each value is possible, shape (12, n)."""
    rows: NDArray[np.float64]
    """Rows of the valid profiles, shape (m, 12)."""

    @property
    def rejected(self) -> int:
        """Number of rows of the file that are no valid profile."""
        return len(self.chunk.malformed) + int(self.possible.shape[1]) - len(self.rows)

    def blocks(self) -> Iterator[NDArray[np.float64]]:
        """Yield the rows in parts of at most 10,000."""
        for start in range(0, len(self.rows), _ROWS):
            yield self.rows[start : start + _ROWS]


def read(path: Path) -> Iterator[People]:
    """Yield the people of a file, chunk by chunk.

    Parameters
    ----------
    path : pathlib.Path
        CSV or Parquet, with the columns of profiles or of the decoded CSV, or in the UCI format.

    Raises
    ------
    DataError
        The file cannot be read, or has unexpected columns.
    ConfigurationError
        Its name has an unknown ending.
    """
    source = open_source(path)
    for chunk in (chunk for part in source.parts for chunk in source.chunks(part)):
        values, possible = validate(encode(chunk.columns), "standardized")
        yield People(chunk, possible, values.T[possible.all(axis=0)])
