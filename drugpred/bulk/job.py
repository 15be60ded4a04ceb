"""The job of an executor: to score one part, from file to file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa
from threadpoolctl import ThreadpoolController

from drugpred.bulk.column_mapping import ID
from drugpred.bulk.encoding import encode
from drugpred.bulk.sink import LINE, Scored
from drugpred.codebook import DRUGS, INPUTS, SUPPORT_LEVELS, WINDOW_INDEX
from drugpred.tabular import expected_cell, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from drugpred.bulk.sink import Record, Sink
    from drugpred.bulk.source import Chunk, Source
    from drugpred.codebook import Drug, Scale, Window
    from drugpred.model_store import StoredModel
    from drugpred.schemas import ColumnAddition

_BLOCK: Final = 1024  # people whose columns are made at once

_REUSED: Final = 1 << 21  # numbers, in 16 MiB

_TYPES: Final = {pa.float32(): np.float32, pa.float64(): np.float64, pa.int64(): np.int64}


class Network(Protocol):
    """A predictor of columns: a `ColumnarNetwork`, or one with more columns."""

    def predict_proba(self, values: NDArray[np.float64], /) -> NDArray[np.floating]:
        """Return columns, shape (columns, n), C-contiguous, of people's values of shape (12, n)."""


class UncertainNetwork:
    """A model whose columns have the bounds of the probabilities or the support too.

    Parameters
    ----------
    model : StoredModel
    drugs : sequence of str
    window : str
    include : sequence of str
    """

    def __init__(
        self, model: StoredModel, drugs: Sequence[Drug], window: Window, include: Sequence[ColumnAddition]
    ) -> None:
        self._model = model
        self._drugs = [DRUGS.index(drug) for drug in drugs]
        self._windows = [WINDOW_INDEX[window]]
        self._include = include

    def predict_proba(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the columns of `drugpred.schemas.column_names`, shape (columns, n)."""
        rows = np.ascontiguousarray(values.T)
        return np.hstack(
            [
                self._model.columns(rows[start : start + _BLOCK], self._drugs, self._windows, self._include)
                for start in range(0, max(1, len(rows)), _BLOCK)
            ]
        )


@dataclass(frozen=True)
class Job:
    """An input file, the model, the options and the output."""

    source: Source
    network: Network
    scale: Scale
    sink: Sink
    first: int = 0
    """Number of the file's first part in the output."""

    def score_part(self, number: int, advance: Callable[[int], object] | None = None) -> Record:
        """Read, validate, score and write a part, in constant memory and on one core.

        Parameters
        ----------
        number : int
            Number of the part in the output.
        advance : callable, optional
            Called with the number of rows since the last call.

        Raises
        ------
        DataError
            The file cannot be read.
        OSError
            A part cannot be written.
        """

        def scored() -> Iterator[Scored]:
            for chunk in self.source.chunks(self.source.parts[number - self.first]):
                yield self._score(chunk)
                if advance is not None:
                    advance(chunk.size)

        np.empty(_REUSED)  # after it was freed once, glibc keeps as much memory for the next chunk, which saves 4%
        with _blas().limit(limits=1):
            return self.sink.write(number, scored())

    def _score(self, chunk: Chunk) -> Scored:
        encoded = encode(chunk.columns)
        values, possible = validate(encoded, self.scale)
        probabilities = self.network.predict_proba(values)
        carried = self._carried(chunk)
        fields = list(self.sink.schema)[len(carried) :]
        columns = map(_array, probabilities, fields)
        batch = pa.RecordBatch.from_arrays([*carried, *columns], schema=self.sink.schema)
        faults = [(line, "", expected) for line, expected in chunk.malformed]
        n_rejected = len(faults)
        if not possible.all():
            good = possible.all(0)
            batch = batch.filter(pa.array(good))
            n_rejected += int((~good).sum())
            headings = list(self.source.mapping.inputs.values())
            rows, inputs = (places.tolist() for places in np.nonzero(~possible.T))
            for line, row, i in zip(chunk.lines[rows].tolist(), rows, inputs, strict=True):
                faults.append((line, headings[i], expected_cell(i, encoded[INPUTS[i]][row], self.scale)))
        return Scored(batch, sorted(faults, key=lambda fault: fault[0]), n_rejected)

    def _carried(self, chunk: Chunk) -> list[pa.Array]:
        """Return the columns of a chunk that are no predictions: the id, or the line; and those to carry over."""
        mapping = self.source.mapping
        if mapping.id is not None:
            columns = [chunk.columns[ID]]
        else:
            columns = [_array(chunk.lines, self.sink.schema.field(LINE))]
            if self.sink.file:
                columns.insert(0, pa.repeat(self.sink.file, len(chunk.lines)))
        names = mapping.names()
        return columns + [chunk.columns[names[heading]] for heading in mapping.keep]


@cache
def _blas() -> ThreadpoolController:
    """Return the BLAS libraries that are loaded; to find them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


def _array(column: NDArray[Any], field: pa.Field) -> pa.Array:
    """Return a column with the type of its field; texts are the levels of support."""
    if pa.types.is_string(field.type):
        return pa.array([SUPPORT_LEVELS[level] for level in column.astype(np.intp).tolist()])
    # `pa.array` would import pandas if it is installed, which takes half a second.
    values = np.ascontiguousarray(column, _TYPES[field.type])
    return pa.Array.from_buffers(field.type, len(values), [None, pa.py_buffer(values)])
