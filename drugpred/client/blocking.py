"""Runs asynchronous code with blocking libraries, so that both clients share their code.

A coroutine that awaits only finished results never suspends, and needs no event loop.
"""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterator

T = TypeVar("T")


async def resolve(result: Any) -> Any:  # noqa: ANN401 - of any library
    """Return the result of a library's function, awaited if necessary."""
    return await result if isawaitable(result) else result


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("expected a coroutine that never suspends")


def iterate(generator: AsyncGenerator[T, None]) -> Iterator[T]:
    """Yield the items of an asynchronous generator that never suspends."""
    try:
        while True:
            try:
                value = run(generator.__anext__())
            except StopAsyncIteration:
                return
            yield value
    finally:
        run(generator.aclose())
