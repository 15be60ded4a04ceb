"""From columns of many people to rows, validated like one person by `drugpred.schemas.Profile`.

For transports with columns. Both functions raise `ColumnError`, which has the column, the row and the expected value::

    encode(
        {
            "age": np.fromiter(request.age, np.int64) - 1,  # integer codes: the fast path, compared all at once
            "gender": category_codes(codebook.GENDER, ["F", "male"]),  # labels, spelled as in a profile
            ...,
            "sensation_seeking": np.array(request.sensation_seeking),  # floats
        },
        scale="raw",
    )
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import numpy as np

from drugpred.codebook import AGE, CATEGORIES, INPUTS, NEO_TOTALS, SCORES, SINGLE, Scale, age_band
from drugpred.limits import MAX_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from drugpred.codebook import Category

IMPOSSIBLE: Final = -1
"""The code for an unknown level."""

_N_CATEGORIES: Final = len(CATEGORIES)
_CODES: Final = [(0, len(category.labels) - 1) for category in CATEGORIES]
_BOUNDS: Final = {
    scale: np.array([*_CODES, *(score.bounds(scale) for score in SCORES)], np.float64) for scale in get_args(Scale)
}
_TOLERANCE: Final = np.array([[0.0]] * _N_CATEGORIES + [[SINGLE]] * len(SCORES))
_BY_TOTAL: Final = {
    INPUTS.index(score.name): np.array(list(score.by_total.values())) for score in SCORES if score.is_neo
}

_BY_NAME: Final = {category.name: category for category in CATEGORIES}


class ColumnError(ValueError):
    """A column is malformed; the message contains none of its values.

    Parameters
    ----------
    field : str
        Name of the column.
    expected : str
        The expected value.
    row : int, optional
        First malformed row, from 0; None if it is the whole column.
    """

    def __init__(self, field: str, expected: str, row: int | None = None) -> None:
        where = field if row is None else f"{field}, row {row}"
        super().__init__(f"{where}: expected {expected}")
        self.field = field
        self.expected = expected
        self.row = row


def category_codes(category: Category, labels: Sequence[str]) -> NDArray[np.int64]:
    """Return the codes of labels or aliases, in any case and spacing.

    Parameters
    ----------
    category : Category
    labels : sequence of str, of length n

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ColumnError
        A label is unknown.

    Examples
    --------
    >>> category_codes(codebook.GENDER, ["F", "male"])
    array([0, 1])
    """
    known = dict(category.codes)
    for row, label in enumerate(labels):
        if label not in known:  # rare: a column has few spellings
            try:
                known[label] = category.code(label)
            except ValueError:
                raise ColumnError(category.name, category.one_of, row) from None
    return np.fromiter(map(known.__getitem__, labels), np.int64, len(labels))


def cell_code(category: Category, value: object) -> int:
    """Return the code of a file's cell, or `IMPOSSIBLE`.

    A cell is a label, a quantified value or an age in years, the numbers also as text.
    """
    # By name, because a category takes long to hash.
    return _cell_code(category.name, value) if isinstance(value, str | int | float) else IMPOSSIBLE


@lru_cache(maxsize=10_000)
def _cell_code(field: str, value: str | float) -> int:
    category = _BY_NAME[field]
    if isinstance(value, str):
        with suppress(ValueError):
            return category.code(value)
        value = cell_number(value)
    if category is AGE:
        with suppress(ValueError):
            return category.codes[age_band(value)]
    with suppress(ValueError, OverflowError):
        return category.quantified(value)
    return IMPOSSIBLE


def cell_number(value: object) -> float:
    """Return the number in a file's cell, which may be text, or NaN."""
    # float() alone would accept "1_000" and digits of other scripts.
    if (isinstance(value, str) and value.isascii() and "_" not in value) or (
        isinstance(value, int | float) and not isinstance(value, bool)
    ):
        with suppress(ValueError, OverflowError):
            return float(value)
    return float("nan")


def expected_cell(i: int, value: float, scale: Scale) -> str:
    """Return the accepted cells of an input, by its index, for the message about a rejected one; never the value."""
    return CATEGORIES[i].expected if i < _N_CATEGORIES else SCORES[i - _N_CATEGORIES].expected(scale, value)


class Checked(NamedTuple):
    """People's values, and whether each is valid."""

    values: NDArray[np.float64]
    """Shape (12, n), in the order of `codebook.INPUTS`; invalid values are replaced by valid ones."""
    possible: NDArray[np.bool_]  # of the same shape


def validate(columns: Mapping[str, NDArray[Any]], scale: Scale = "standardized") -> Checked:
    """Return people's values, and whether each is valid; for any number of people.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n,)
        All of `codebook.INPUTS`: categories as integer codes, scores as float64 or float32. A score may exceed a bound
        by an error of single precision, and then becomes the bound.
    scale : str
        Scale of the five NEO scores: standardized, or raw totals.

    Raises
    ------
    ColumnError
        Columns differ in length.
    """
    n = len(columns[INPUTS[0]])
    values = np.empty((len(INPUTS), n))
    bounds = _BOUNDS[scale]
    for name, into in zip(INPUTS, values, strict=True):
        if len(columns[name]) != n:
            raise ColumnError(name, f"{n} values, the same number as {INPUTS[0]}")
        into[:] = columns[name]
    if scale == "standardized" and n and _within(values, bounds):
        return Checked(values, np.ones(values.shape, np.bool_))
    possible = (values >= bounds[:, :1] - _TOLERANCE) & (values <= bounds[:, 1:] + _TOLERANCE)
    if scale == "raw":
        for i in _BY_TOTAL:
            possible[i] &= np.rint(values[i]) == values[i]
    if not possible.all():
        np.copyto(values, bounds[:, :1], where=~possible)
    scores = values[_N_CATEGORIES:]
    scores.clip(bounds[_N_CATEGORIES:, :1], bounds[_N_CATEGORIES:, 1:], out=scores)
    if scale == "raw":
        for i, by_total in _BY_TOTAL.items():
            values[i] = by_total[values[i].astype(np.intp) - NEO_TOTALS[0]]
    return Checked(values, possible)


def _within(values: NDArray[np.float64], bounds: NDArray[np.float64]) -> bool:
    """Return whether no value exceeds its bounds or is NaN, in a quarter of the time of comparing every value."""
    return bool((values.min(1) >= bounds[:, 0]).all() and (values.max(1) <= bounds[:, 1]).all())


def encode(columns: Mapping[str, NDArray[Any]], scale: Scale = "standardized") -> NDArray[np.float64]:
    """Return people's rows, as `drugpred.codebook` describes them.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n,)
        Columns for `validate`.
    scale : str
        Scale of the five NEO scores: standardized, or raw totals.

    Returns
    -------
    ndarray of shape (n, 12)

    Raises
    ------
    ColumnError
        Columns differ in length, there are no people or more than 10,000, or a value is invalid: the error reports the
        first column in the order of `codebook.INPUTS`, and there the first row.
    """
    n = len(columns[INPUTS[0]])
    if not 1 <= n <= MAX_ROWS:
        raise ColumnError(INPUTS[0], f"1 to {MAX_ROWS} values")
    values, possible = validate(columns, scale)
    if not possible.all():
        i, row = divmod(int(possible.argmin()), n)
        if i < _N_CATEGORIES:
            raise ColumnError(INPUTS[i], CATEGORIES[i].one_of, row)
        raise ColumnError(INPUTS[i], SCORES[i - _N_CATEGORIES].expected(scale, columns[INPUTS[i]][row]), row)
    return np.ascontiguousarray(values.T)
