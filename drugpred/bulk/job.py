"""The job of an executor: to score one part, from file to file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from drugpred.bulk.column_mapping import ID
from drugpred.bulk.encoding import encode
from drugpred.bulk.sink import Scored
from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.tabular import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from drugpred.bulk.columnar_network import ColumnarNetwork
    from drugpred.bulk.sink import Counts, Sink
    from drugpred.bulk.source import Chunk, Source
    from drugpred.codebook import Scale

LINE = "line"  # column that identifies rows if the file has no id


@dataclass(frozen=True)
class Job:
    """The input, model, options and output of each part."""

    source: Source
    network: ColumnarNetwork
    scale: Scale
    sink: Sink

    def score_part(self, number: int, advance: Callable[[int], object] | None = None) -> Counts:
        """Read, validate, score and write a part, in constant memory and on one core.

        Parameters
        ----------
        number : int
            Number of the part, from 0.
        advance : callable, optional
            Called with the progress since the last call: bytes of a CSV, rows of a Parquet file.

        Raises
        ------
        DataError
            The file cannot be read.
        OSError
            A part cannot be written.
        """

        def scored() -> Iterator[Scored]:
            for chunk in self.source.chunks(self.source.parts[number]):
                yield self._score(chunk)
                if advance is not None:
                    advance(chunk.size)

        with threadpool_limits(1, "blas"):
            return self.sink.write(number, scored())

    def _score(self, chunk: Chunk) -> Scored:
        encoded = encode(chunk.columns)
        values, possible = validate(encoded, self.scale)
        probabilities = self.network.predict_proba(values)
        ids = chunk.columns[ID] if ID in chunk.columns else pa.array(chunk.lines)
        batch = pa.RecordBatch.from_arrays([ids, *map(pa.array, probabilities)], schema=self.sink.schema)
        faults = [(line, "", expected) for line, expected in chunk.malformed]
        n_rejected = len(faults)
        good = possible.all(0)
        if not good.all():
            batch = batch.filter(pa.array(good))
            n_rejected += int((~good).sum())
            headings = list(self.source.mapping.inputs.values())
            rows, inputs = (places.tolist() for places in np.nonzero(~possible.T))
            for line, row, i in zip(chunk.lines[rows].tolist(), rows, inputs, strict=True):
                faults.append((line, headings[i], self._expected(i, encoded[INPUTS[i]][row])))
        return Scored(batch, sorted(faults, key=lambda fault: fault[0]), n_rejected)

    def _expected(self, i: int, value: float) -> str:
        """Return the expected values of an input, for a value that is impossible."""
        if i < len(CATEGORIES):
            return CATEGORIES[i].expected
        return SCORES[i - len(CATEGORIES)].expected(self.scale, value)
