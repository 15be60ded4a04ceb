"""Time as the server takes it: without what this process itself made its answers wait."""

from __future__ import annotations

import asyncio
import time
from typing import Final

_TICK: Final = 0.005


class Clock:
    """Measures how late the event loop is, all along."""

    def __init__(self) -> None:
        self._late = 0.0

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            expected = time.perf_counter() + _TICK
            await asyncio.sleep(_TICK)
            self._late += max(0.0, time.perf_counter() - expected)

    def now(self) -> float:
        """Return seconds; those in which this event loop was held up do not pass."""
        return time.perf_counter() - self._late
