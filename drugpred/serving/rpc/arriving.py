"""How the first message of a call arrives, for which grpc.aio waits for ever: in time, and of so many calls at most."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from drugpred.serving.admission import OverloadedError
from drugpred.serving.protocol import ARRIVAL_SECONDS

if TYPE_CHECKING:
    import grpc

__all__ = ["LateError", "Places"]


class LateError(Exception):
    """A message does not come in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"expected a request within {seconds:.0f} seconds")


class Places:
    """Places for calls, in one event loop: for those that wait for their first message, and those whose message came.

    Where there is none for a new call, that of the first kind that has waited longest is refused: most messages come
    with their calls, so that it is one that was sent without.

    Parameters
    ----------
    most : int
        Each may hold the longest message, but for its last byte if it has not come.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._waiting: dict[asyncio.Timeout, None] = {}

    async def take(self, context: grpc.aio.ServicerContext) -> bytes:
        """Return the first message of a call, which then has a place; `grpc.aio.EOF` where it has none.

        Raises
        ------
        LateError
        OverloadedError
            There is no place for it, or a newer call needs it.
        """
        if self._held + len(self._waiting) >= self._most:
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                raise OverloadedError
            del self._waiting[oldest]
            oldest.reschedule(0)
        try:
            async with asyncio.timeout(ARRIVAL_SECONDS) as patience:
                self._waiting[patience] = None
                message: bytes = await context.read()
        except TimeoutError:
            raise (LateError(ARRIVAL_SECONDS) if patience in self._waiting else OverloadedError()) from None
        finally:
            self._waiting.pop(patience, None)
        self._held += 1
        return message

    def give(self) -> None:
        """Give a place back."""
        self._held -= 1
