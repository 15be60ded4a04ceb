"""Chunks of a stream, as arrays and data frames; of the client, only this needs numpy and narwhals."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import narwhals as nw
import numpy as np
from pydantic import RootModel

from drugpred import codebook, tabular
from drugpred.client import calls
from drugpred.errors import Detail, InvalidRequestError
from drugpred.limits import MAX_ROWS
from drugpred.schemas import Profile

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from numpy.typing import ArrayLike, NDArray

    from drugpred.codebook import Drug

_CATEGORIES: Final = len(codebook.CATEGORIES)
_FIELDS: Final = {
    heading.casefold(): column.name
    for column in (*codebook.CATEGORIES, *codebook.SCORES)
    for heading in (column.name, column.column)
} | {"impulsiveness": "impulsivity", "scale": "scale"}


class _People(RootModel[list[Profile]]):
    """The people of a data frame."""


async def answers(
    stream: Callable[[AsyncIterable[NDArray[np.float64]]], AsyncGenerator[NDArray[np.float64], None]],
    chunks: Any,  # noqa: ANN401 - see `Client.stream`
    drugs: list[Drug],
) -> AsyncGenerator[Any, None]:
    """Yield the answer to each chunk: the array that `stream` yields for people's rows, or a data frame of it."""
    frames: deque[nw.DataFrame[Any] | None] = deque()  # of the chunks that wait for their answer

    async def rows() -> AsyncIterator[NDArray[np.float64]]:
        async for chunk in _each(chunks):
            frames.append(frame := _frame(chunk))
            yield as_rows(chunk) if frame is None else _rows_of(frame)

    async with aclosing(stream(rows())) as tables:
        async for table in tables:
            frame = frames.popleft()
            yield table if frame is None else _like(frame, table, drugs)


async def _each(chunks: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - see `Client.stream`
    """Yield the chunks, which are parts of a single data frame."""
    if (frame := _frame(chunks)) is not None:
        for start in range(0, len(frame), MAX_ROWS):
            yield frame[start : start + MAX_ROWS].to_native()
    elif isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield chunk
    else:
        for chunk in chunks:
            yield chunk


def _frame(chunk: Any) -> nw.DataFrame[Any] | None:  # noqa: ANN401 - anything
    """Return a data frame, or None for anything else and where pandas has numbered the columns of an array."""
    frame = nw.from_native(chunk, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame) and any(isinstance(heading, str) for heading in frame.columns):
        return frame
    return None


def _rows_of(frame: nw.DataFrame[Any]) -> NDArray[np.float64]:
    """Return the rows of a data frame, validated as profiles; columns that are no inputs are ignored."""
    if not 1 <= len(frame) <= MAX_ROWS:
        raise InvalidRequestError([Detail((), f"expected 1 to {MAX_ROWS} rows")])
    headings: dict[str, Any] = {}
    for heading in frame.columns:
        name = _FIELDS.get(str(heading).strip().casefold())
        if name in headings:
            raise InvalidRequestError([Detail((name,), "expected one column, not several")])
        if name is not None:
            headings[name] = heading
    if missing := [name for name in codebook.INPUTS if name not in headings]:
        raise InvalidRequestError([Detail((name,), "expected a column") for name in missing])
    values = zip(*(frame[heading].to_list() for heading in headings.values()), strict=True)
    people = calls.validated(_People, [calls.plain(dict(zip(headings, each, strict=True))) for each in values])
    return np.array([profile.row() for profile in people.root])


def _like(frame: nw.DataFrame[Any], table: NDArray[np.float64], drugs: list[Drug]) -> Any:  # noqa: ANN401
    """Return the probabilities as a data frame of the same library, with the index of `frame` if it has one."""
    columns = dict(zip(drugs, np.ascontiguousarray(table.T), strict=True))
    answer = nw.from_dict(columns, backend=frame.implementation).to_native()
    if (index := nw.maybe_get_index(frame)) is not None:
        answer.index = index
    return answer


def as_rows(chunk: ArrayLike) -> NDArray[np.float64]:
    """Return people's rows, as `drugpred.codebook` describes them, validated."""
    try:
        # Scores in float32 may be rounded beyond a bound; validation allows for it in columns of that type.
        rows = np.array(chunk, np.float32 if getattr(chunk, "dtype", None) == np.float32 else np.float64)
    except (ValueError, TypeError):
        raise InvalidRequestError([Detail((), "expected rows of numbers")]) from None
    if rows.shape[1:] != (len(codebook.INPUTS),):
        raise InvalidRequestError([Detail((), f"expected rows of {len(codebook.INPUTS)} numbers")])
    codes = rows[:, :_CATEGORIES]
    codes[codes != np.trunc(codes)] = -1  # no level has this code
    try:
        return tabular.encode(dict(zip(codebook.INPUTS, rows.T, strict=True)))
    except tabular.ColumnError as error:
        loc = (error.field,) if error.row is None else (error.row, error.field)
        raise InvalidRequestError([Detail(loc, f"expected {error.expected}")]) from None
