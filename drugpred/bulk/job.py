"""One part from file to file: what every engine runs, in this process or in another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from drugpred.bulk.encoding import encode, expected
from drugpred.bulk.headings import ID
from drugpred.codebook import INPUTS
from drugpred.tabular import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from drugpred.bulk.network import Network
    from drugpred.bulk.outputs import Counts, Parts
    from drugpred.bulk.source import Chunk, Source
    from drugpred.tabular import Scale

__all__ = ["LINE", "Job"]

LINE = "line"
"""The column that tells rows apart where the file has no id."""


@dataclass(frozen=True)
class Job:
    """What to do with each part of a file."""

    source: Source
    network: Network
    scale: Scale
    outputs: Parts

    def run(self, number: int, advance: Callable[[int], object] | None = None) -> Counts:
        """Read, check, score and write a part, in constant memory and on one core.

        Parameters
        ----------
        number : int
            Of the part, from 0.
        advance : callable, optional
            Told how much more is done, in bytes of a CSV or rows of Parquet.

        Raises
        ------
        DataError
            The file cannot be read.
        OSError
            A part cannot be written.
        """

        def scored() -> Iterator[tuple[pa.RecordBatch, list[tuple[int, str, str]], int]]:
            for chunk in self.source.chunks(self.source.parts[number]):
                yield self._score(chunk)
                if advance is not None:
                    advance(chunk.size)

        with threadpool_limits(1, "blas"):
            return self.outputs.write(number, scored())

    def _score(self, chunk: Chunk) -> tuple[pa.RecordBatch, list[tuple[int, str, str]], int]:
        values, possible = validate(encode(chunk.columns), self.scale)
        probabilities = self.network.probabilities(values)
        keys = chunk.columns.get(ID)
        if keys is None:
            keys = pa.array(chunk.lines)
        scored = pa.RecordBatch.from_arrays([keys, *map(pa.array, probabilities)], schema=self.outputs.schema)
        told = [(line, "", expected) for line, expected in chunk.malformed]
        n_rejected = len(told)
        good = possible.all(0)
        if not good.all():
            scored = scored.filter(pa.array(good))
            n_rejected += int((~good).sum())
            told += self._told(chunk, possible)
        return scored, sorted(told, key=lambda row: row[0]), n_rejected

    def _told(self, chunk: Chunk, possible: NDArray[np.bool_]) -> list[tuple[int, str, str]]:
        columns = [(self.source.headings.inputs[name], expected(name, self.scale)) for name in INPUTS]
        rows, inputs = np.nonzero(~possible.T)
        return [(line, *columns[i]) for line, i in zip(chunk.lines[rows].tolist(), inputs.tolist(), strict=True)]
