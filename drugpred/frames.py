"""DataFrames of pandas, polars and others in and out, by narwhals: none of these libraries is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from drugpred.bulk.column_mapping import input_of
from drugpred.codebook import CATEGORIES, INPUTS, SCORES, SUPPORT_LEVELS
from drugpred.errors import needs
from drugpred.tabular import ColumnError, cell_code, cell_number, expected_cell, validate

with needs("frames"):
    import narwhals.stable.v2 as nw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from narwhals.stable.v2.typing import IntoDataFrame, IntoDataFrameT
    from numpy.typing import NDArray

    from drugpred.codebook import Category, Scale


def rows_of(frame: IntoDataFrame, scale: Scale = "standardized") -> NDArray[np.float64]:
    """Return people's rows, as `drugpred.codebook` describes them.

    Parameters
    ----------
    frame : DataFrame of pandas, polars or another library that narwhals knows
        Columns and labels as in a file that `drugpred score` takes; other columns are ignored. Scores are taken as they
        are, as in a request: no published value replaces one that was rounded.
    scale : str
        Of the five NEO scores: standardized, or raw totals.

    Returns
    -------
    ndarray of shape (n, 12)

    Raises
    ------
    TypeError
        It is no DataFrame.
    ColumnError
        A column is missing or occurs twice, or a value is not possible. Of the values it reports the first row and
        there the first column in the order of `codebook.INPUTS`.
    """
    people = nw.from_native(frame, eager_only=True)
    headings: dict[str, list[str]] = {name: [] for name in INPUTS}
    for heading in people.columns:
        name = input_of(str(heading))
        if name is not None:
            headings[name].append(heading)
    for name, spellings in headings.items():
        if len(spellings) != 1:
            raise ColumnError(name, "one column, not several" if spellings else "a column of that name")
    columns = {name: people[heading] for name, (heading,) in headings.items()}
    encoded: dict[str, NDArray[Any]] = {
        category.name: _codes(category, columns[category.name]) for category in CATEGORIES
    }
    encoded |= {score.name: _numbers(columns[score.name]) for score in SCORES}
    values, possible = validate(encoded, scale)
    if not possible.all():
        row = int(possible.all(0).argmin())
        column = int(possible[:, row].argmin())
        name = INPUTS[column]
        raise ColumnError(headings[name][0], expected_cell(column, encoded[name][row], scale), row)
    return np.ascontiguousarray(values.T)


def frame_columns(names: Iterable[str], columns: Iterable[NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
    """Return columns by name, the support as whole numbers and labels; see `drugpred.schemas.column_names`."""
    by_name: dict[str, NDArray[Any]] = dict(zip(names, columns, strict=True))
    if "level" in by_name:
        by_name |= {name: by_name[name].astype(np.int64) for name in ("similar", "percentile")}
        by_name["level"] = np.array(SUPPORT_LEVELS, object)[by_name["level"].astype(np.intp)]
    return by_name


def frame_like(frame: IntoDataFrameT, columns: Mapping[str, NDArray[Any]]) -> IntoDataFrameT:
    """Return a DataFrame of other columns, of the same library and with the same index.

    Parameters
    ----------
    frame : DataFrame
        Of n rows.
    columns : mapping of str to ndarray of shape (n,)
    """
    people = nw.from_native(frame, eager_only=True)
    series = [nw.new_series(name, values, backend=people.implementation) for name, values in columns.items()]
    native: IntoDataFrameT = people.with_columns(*series).select(*columns).to_native()  # columns take the frame's index
    return native


def _codes(category: Category, column: nw.Series[Any]) -> NDArray[np.int64]:
    # A list has no hash.
    cells = [value if isinstance(value, str | int | float) else None for value in column.to_list()]
    codes = {value: cell_code(category, value) for value in set(cells)}
    return np.fromiter(map(codes.__getitem__, cells), np.int64, len(cells))


def _numbers(column: nw.Series[Any]) -> NDArray[np.floating[Any]]:
    if column.dtype == nw.Decimal:
        column = column.cast(nw.Float64)
    if column.dtype.is_float():
        return np.asarray(column.to_numpy(), np.float32 if column.dtype == nw.Float32 else np.float64)
    return np.array([cell_number(value) for value in column.to_list()], np.float64)
