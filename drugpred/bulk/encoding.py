"""Encoding of columns of text and numbers, as Arrow holds them, for `drugpred.tabular.validate`.

Each distinct text is parsed once, by the rules of `drugpred.schemas.Profile`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drugpred.codebook import CATEGORIES, SCORES, SINGLE, Category, Score
from drugpred.tabular import IMPOSSIBLE, cell_code, cell_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

VIEWED: Final = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
"""Types of the values of views: Arrow supports few operations on views."""

_FOURTH: Final = 10.0**4

_SHORT: Final = {
    score.name: np.array([value for value in score.values if round(value, 4) == value]).reshape(-1, 1)
    for score in SCORES
}
"""Published values with at most four decimals, shape (values, 1)."""


def encode(columns: Mapping[str, pa.Array]) -> dict[str, NDArray[Any]]:
    """Return codes and scores of the same length.

    A value without a code becomes -1, and one that is no number NaN; `drugpred.tabular.validate` reports both.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        All of `codebook.INPUTS`: categories as text, dictionary-encoded or not, or as quantified, the age also in
        years; scores as numbers or as text, with 1 to 4 decimals for the published value that was rounded.
    """
    encoded: dict[str, NDArray[Any]] = {
        category.name: _codes(category, columns[category.name]) for category in CATEGORIES
    }
    return encoded | {score.name: _unrounded(score, _scores(columns[score.name])) for score in SCORES}


def _codes(category: Category, column: pa.Array) -> NDArray[np.int8]:
    if not pa.types.is_dictionary(column.type):
        column = _plain(column).dictionary_encode()
    codes = [cell_code(category, value) for value in _python(_plain(column.dictionary))]
    places = column.indices
    if places.null_count:  # a missing value gets the last place
        places = places.cast(pa.int64()).fill_null(len(codes))
    return np.array([*codes, IMPOSSIBLE], np.int8).take(np.from_dlpack(places).astype(np.intp))


def _plain(column: pa.Array) -> pa.Array:
    """Return a column in a type that Arrow can compute with: decimals as numbers, views as their values."""
    if pa.types.is_decimal(column.type):
        # Through text: 25.00000 would become 25.000000000000004.
        return pc.cast(pc.cast(column, pa.string()), pa.float64())
    return pc.cast(column, VIEWED.get(column.type, column.type))


def _python(column: pa.Array) -> list[object]:
    """Return values with text as str; text that is not UTF-8 becomes None."""
    try:
        return [value.decode() if isinstance(value, bytes) else value for value in column.to_pylist()]
    except UnicodeDecodeError:
        if len(column) == 1:
            return [None]
        return [value for i in range(len(column)) for value in _python(column.slice(i, 1))]


def _scores(column: pa.Array) -> NDArray[np.floating[Any]]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _parsed(column)
    elif column.type not in (pa.float32(), pa.float64()):
        column = pc.cast(_plain(column), pa.float64(), safe=False)
    # `to_numpy` makes nulls NaN, and would import pandas if it is installed, which takes half a second.
    numbers: NDArray[Any] = column.to_numpy(zero_copy_only=False) if column.null_count else np.from_dlpack(column)
    return numbers


def _unrounded(score: Score, numbers: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    with np.errstate(invalid="ignore", over="ignore"):
        last = np.multiply(numbers, _FOURTH, dtype=np.float64)
        last -= np.rint(last)
    rounded = np.flatnonzero(np.abs(last, last) <= SINGLE * _FOURTH)
    # Most of them are the few published values that end in 0.
    rounded = rounded[~(numbers[rounded] == _SHORT[score.name]).any(0)]
    if not rounded.size:
        return numbers
    distinct, places = np.unique(numbers[rounded], return_inverse=True)
    numbers = numbers.astype(np.float64)
    numbers[rounded] = np.array([score.unrounded(value) for value in distinct.tolist()])[places]
    return numbers


def _parsed(column: pa.Array) -> pa.Array:
    with suppress(pa.ArrowInvalid):  # raised for the whole column if one text is no number
        return pc.cast(column, pa.float64())
    distinct = column.dictionary_encode()
    numbers = pa.array(map(cell_number, _python(distinct.dictionary)), pa.float64())
    return numbers.take(distinct.indices)
