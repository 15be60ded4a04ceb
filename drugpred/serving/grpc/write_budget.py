"""A budget of bytes in use: an answer that needs more than are free waits in order."""

from __future__ import annotations

import asyncio
from collections import deque

from drugpred.errors import OverloadedError


class WriteBudget:
    """Budget of the bytes in use, in one event loop.

    Parameters
    ----------
    most : int
    seconds : float
        Longest wait for free bytes.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, amount: int) -> None:
        """Take bytes, once they are free.

        Raises
        ------
        OverloadedError
            They did not become free in time; none are taken.
        """
        if not self._waiting and self._held + amount <= self._most:
            self._held += amount
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        try:
            async with asyncio.timeout(self._seconds):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if turn.cancelled():
                self._waiting = deque(each for each in self._waiting if each[1] is not turn)
                self._next()
            else:  # granted at the moment of the timeout
                self.release(amount)
            if isinstance(error, TimeoutError):
                raise OverloadedError from None
            raise

    def release(self, amount: int) -> None:
        """Give bytes back."""
        self._held -= amount
        self._next()

    def _next(self) -> None:
        while self._waiting and self._held + self._waiting[0][0] <= self._most:
            amount, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._held += amount
                turn.set_result(None)
