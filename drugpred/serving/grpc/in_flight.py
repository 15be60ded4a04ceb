"""Counts in-flight calls for graceful shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

_TICK: Final = 0.01


class InFlightCalls:
    """Counter of calls, which holds new ones back while it is closed."""

    def __init__(self) -> None:
        self.entered = 0
        self._left = 0
        self._lock = threading.Lock()  # grpc_unary calls from another thread
        self._open = asyncio.Event()
        self._open.set()

    async def enter(self, context: ServicerContext) -> None:
        """Count a call until its answer is sent."""
        with self._lock:
            self.entered += 1
        context.add_done_callback(self._leave)
        if not self._open.is_set():
            await asyncio.sleep(0)  # grpc_unary's thread continues in the event loop
            await self._open.wait()

    def _leave(self, _: ServicerContext) -> None:
        with self._lock:
            self._left += 1

    def close(self) -> None:
        """Hold new calls back."""
        self._open.clear()

    def open(self) -> None:
        """Let the calls that were held back continue."""
        self._open.set()

    async def wait_until_empty(self, seconds: float) -> None:
        """Wait up to `seconds` for in-flight calls to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._left < self.entered:
                    await asyncio.sleep(_TICK)
