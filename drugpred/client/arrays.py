"""Chunks of a stream, as arrays and data frames; of the client, only this needs numpy and narwhals."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import narwhals.stable.v2 as nw
import numpy as np

from drugpred import codebook, tabular
from drugpred.errors import Detail, InvalidRequestError
from drugpred.frames import frame_columns, frame_like, rows_of
from drugpred.limits import MAX_ROWS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from numpy.typing import ArrayLike, NDArray

    from drugpred.codebook import Scale

_CATEGORIES: Final = len(codebook.CATEGORIES)


async def answers(
    stream: Callable[[AsyncIterable[NDArray[np.float64]]], AsyncGenerator[NDArray[np.float64], None]],
    chunks: Any,  # noqa: ANN401 - see `Client.stream`
    columns: list[str],
    scale: Scale,
) -> AsyncGenerator[Any, None]:
    """Yield the answer to each chunk: the array that `stream` yields for people's rows, or a data frame of it."""
    waiting: deque[Any] = deque()  # chunks without an answer yet

    async def rows() -> AsyncIterator[NDArray[np.float64]]:
        async for chunk in _each(chunks):
            waiting.append(chunk)
            yield as_rows(chunk, scale)

    async with aclosing(stream(rows())) as tables:
        async for table in tables:
            chunk = waiting.popleft()
            is_frame = _frame(chunk) is not None
            yield frame_like(chunk, frame_columns(columns, table.T)) if is_frame else table


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


def as_rows(chunk: Any, scale: Scale = "standardized") -> NDArray[np.float64]:  # noqa: ANN401 - see `Client.stream`
    """Return the rows of a chunk, as `drugpred.codebook` describes them, validated."""
    frame = _frame(chunk)
    try:
        if frame is None:
            return tabular.encode(_columns(chunk), scale)
        if not 1 <= len(frame) <= MAX_ROWS:
            raise InvalidRequestError([Detail((), f"expected 1 to {MAX_ROWS} rows")])
        return rows_of(chunk, scale)
    except tabular.ColumnError as error:
        loc = (error.field,) if error.row is None else (error.row, error.field)
        raise InvalidRequestError([Detail(loc, f"expected {error.expected}")]) from None


def _columns(chunk: ArrayLike) -> dict[str, NDArray[np.floating[Any]]]:
    """Return the columns of an array by their inputs; codes that are no whole numbers become impossible ones."""
    try:
        # Scores in float32 may be rounded beyond a bound; validation allows for it in columns of that type.
        rows = np.array(chunk, np.float32 if getattr(chunk, "dtype", None) == np.float32 else np.float64)
    except (ValueError, TypeError):
        raise InvalidRequestError([Detail((), "expected rows of numbers")]) from None
    if rows.shape[1:] != (len(codebook.INPUTS),):
        raise InvalidRequestError([Detail((), f"expected rows of {len(codebook.INPUTS)} numbers")])
    codes = rows[:, :_CATEGORIES]
    codes[codes != np.trunc(codes)] = tabular.IMPOSSIBLE
    return dict(zip(codebook.INPUTS, rows.T, strict=True))
