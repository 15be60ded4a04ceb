"""Large requests take turns, so that a small one waits for a slice of one of them, however many there are.

Callers take turns too: who sends many large requests waits behind those who send few.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from drugpred.serving.admission import caller_name

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


class _Turns:
    """The turns of one event loop."""

    def __init__(self) -> None:
        self._taken = False
        # By caller, the one first whose turn is next.
        self._waiting: dict[str | None, deque[asyncio.Future[None]]] = {}

    async def take(self, caller: str | None) -> None:
        """Wait for a turn."""
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was its turn already
                self.give()
            raise

    def give(self) -> None:
        """Give the turn to the next one who waits."""
        while self._waiting:
            caller = next(iter(self._waiting))
            waiting = self._waiting.pop(caller)
            turn = waiting.popleft()
            if waiting:
                self._waiting[caller] = waiting  # behind the other callers
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False


_TURNS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns]] = WeakKeyDictionary()


@asynccontextmanager
async def turn(size: int) -> AsyncIterator[None]:
    """Let a request of so many bytes do its work: one large one at a time, those of a caller in their order."""
    if size <= LARGE:
        yield
        return
    turns = _TURNS.setdefault(asyncio.get_running_loop(), _Turns())
    await turns.take(caller_name())
    try:
        yield
        await pause()
    finally:
        turns.give()


async def pause() -> None:
    """Let small requests be answered before the next slice."""
    for _ in range(_PASSES):
        await asyncio.sleep(0)
