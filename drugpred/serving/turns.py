"""Large requests take turns, so that a small one waits for a slice of one of them, however many there are."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["LARGE", "SLICE_PROFILES", "SLICE_ROWS", "pause", "turn"]

LARGE: Final = 16 * 1024
"""Bytes of a request from which on it takes turns: some 50 profiles."""

SLICE_PROFILES: Final = 100
"""Profiles that are answered before others have their turn, in some 10 ms."""

SLICE_ROWS: Final = 1000
"""The same of people as columns."""

_PASSES: Final = 4
"""Passes of the event loop in which a small request is accepted, read and answered."""

_LOCKS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]] = WeakKeyDictionary()


@asynccontextmanager
async def turn(size: int) -> AsyncIterator[None]:
    """Let a request of so many bytes do its work, one large one after the other in the order in which they came."""
    if size <= LARGE:
        yield
        return
    async with _LOCKS.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        try:
            yield
        finally:
            await pause()


async def pause() -> None:
    """Let small requests be answered before the next slice."""
    for _ in range(_PASSES):
        await asyncio.sleep(0)
