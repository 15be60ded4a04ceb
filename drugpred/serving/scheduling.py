"""Large requests take turns, so that a small one waits for one slice of one of them at most.

Callers take turns too, slice by slice: a caller with many large requests does not delay one with few.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from drugpred.limits import LARGE_REQUEST_BYTES
from drugpred.serving.access.policy import caller_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PASSES: Final = 4  # passes of the event loop that accept, read and answer a small request


class _Turns:
    """The turn of an event loop, and who waits for it."""

    def __init__(self) -> None:
        self.taken = False
        # By caller; the first one is next.
        self._waiting: dict[str | None, deque[asyncio.Future[None]]] = {}

    def has_others(self, caller: str | None) -> bool:
        """Return whether other callers wait."""
        return any(other != caller for other in self._waiting)

    def line_up(self, caller: str | None, *, first: bool) -> asyncio.Future[None]:
        """Return a future of the turn; `first` puts it before the caller's other requests."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(caller, deque())
        (waiting.appendleft if first else waiting.append)(granted)
        return granted

    def give(self) -> None:
        """Give the turn to the next caller who waits."""
        while self._waiting:
            caller = next(iter(self._waiting))
            waiting = self._waiting.pop(caller)
            granted = waiting.popleft()
            if waiting:
                self._waiting[caller] = waiting  # after the other callers
            if not granted.done():
                granted.set_result(None)
                return
        self.taken = False


class _Turn:
    """The turn of one request."""

    def __init__(self, turns: _Turns, caller: str | None) -> None:
        self._turns = turns
        self._caller = caller
        self._holds = False

    async def take(self) -> None:
        if self._turns.taken:
            await self._wait(self._turns.line_up(self._caller, first=False))
        self._turns.taken = self._holds = True

    async def pass_on(self) -> None:
        """Let another caller have the turn, if one waits."""
        if self._turns.has_others(self._caller):
            granted = self._turns.line_up(self._caller, first=True)
            self.give()
            await self._wait(granted)
            self._holds = True

    def give(self) -> None:
        if self._holds:
            self._holds = False
            self._turns.give()

    async def _wait(self, granted: asyncio.Future[None]) -> None:
        try:
            await granted
        except asyncio.CancelledError:
            self._holds = not granted.cancelled()  # it may have been granted just before
            raise


_TURNS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns]] = WeakKeyDictionary()
_MINE: Final[ContextVar[_Turn | None]] = ContextVar("mine", default=None)


@asynccontextmanager
async def exclusive(size: int) -> AsyncIterator[None]:
    """Run the work of a request with `size` bytes: one large request at a time, in order for each caller."""
    if size <= LARGE_REQUEST_BYTES:
        yield
        return
    mine = _Turn(_TURNS.setdefault(asyncio.get_running_loop(), _Turns()), caller_name())
    try:
        await mine.take()
        _MINE.set(mine)
        yield
        await _pass()
    finally:
        _MINE.set(None)
        mine.give()


async def yield_slice() -> None:
    """Let small requests, and large ones of other callers, run before the next slice."""
    mine = _MINE.get()
    if mine is not None:
        await mine.pass_on()
    await _pass()


async def _pass() -> None:
    for _ in range(_PASSES):
        await asyncio.sleep(0)
