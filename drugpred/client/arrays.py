"""Chunks of a stream as arrays; of the client, only this needs numpy."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred import codebook, tabular
from drugpred.errors import Detail, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

_CATEGORIES: Final = len(codebook.CATEGORIES)


async def answers(
    stream: Callable[[AsyncIterable[NDArray[np.float64]]], AsyncGenerator[NDArray[np.float64], None]],
    chunks: AsyncIterable[ArrayLike] | Iterable[ArrayLike],
) -> AsyncGenerator[NDArray[np.float64], None]:
    """Yield the answer to each chunk, as `stream` gives it for people's rows."""
    async with aclosing(stream(_read(chunks))) as tables:
        async for table in tables:
            yield table


async def _read(chunks: AsyncIterable[ArrayLike] | Iterable[ArrayLike]) -> AsyncIterator[NDArray[np.float64]]:
    if isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield as_rows(chunk)
    else:
        for chunk in chunks:
            yield as_rows(chunk)


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
