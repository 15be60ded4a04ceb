"""A clock of the server: it stops while this process itself delays the answers."""

from __future__ import annotations

import asyncio
import time
from typing import Final

_TICK: Final = 0.005


class Clock:
    """Clock that measures the delay of the event loop."""

    def __init__(self) -> None:
        self._late = 0.0

    async def run(self) -> None:
        """Measure forever."""
        while True:
            expected = time.perf_counter() + _TICK
            await asyncio.sleep(_TICK)
            self._late += max(0.0, time.perf_counter() - expected)

    def now(self) -> float:
        """Return seconds, without those in which this event loop was blocked."""
        return time.perf_counter() - self._late
