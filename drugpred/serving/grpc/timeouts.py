"""The first message of a call, for which grpc.aio has no limit: in time, and of a bounded number of calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from drugpred.errors import OverloadedError, RequestTimeoutError
from drugpred.limits import REQUEST_TIMEOUT
from drugpred.serving.access.policy import caller_name
from drugpred.serving.capacity import SharedCapacityLimiter

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc


class CallSlots:
    """Slots for calls, in one event loop: for those that wait for their first message, and those whose message came.

    Where there is none for a new call, that of the first kind that has waited longest is refused, and where its caller
    has all that one may, the oldest of that caller's: most messages come with their calls, so that it is one that was
    sent without.

    Parameters
    ----------
    most : int
        Each may hold the longest message, but for its last byte if it has not come.
    most_each : int
        Of one caller.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._places = SharedCapacityLimiter(most, most_each)
        self._waiting: dict[asyncio.Timeout, str | None] = {}

    async def acquire(self, context: grpc.aio.ServicerContext) -> bytes:
        """Return the first message of a call, which then has a place; `grpc.aio.EOF` where it has none.

        Raises
        ------
        RequestTimeoutError
        OverloadedError
            There is no place for it, or a newer call needs it.
        """
        caller = caller_name()
        if self._places.is_share_full(caller):
            self._make_room([waits for waits, by in self._waiting.items() if by == caller])
        elif self._places.is_full():
            self._make_room(self._waiting)
        self._places.acquire(1, caller)
        arrived = False
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT) as patience:
                self._waiting[patience] = caller
                message: bytes = await context.read()
            arrived = True
        except TimeoutError:
            raise (RequestTimeoutError(REQUEST_TIMEOUT) if patience in self._waiting else OverloadedError()) from None
        finally:
            has_place = patience in self._waiting
            self._waiting.pop(patience, None)
            if has_place and not arrived:
                self.release(caller)
        if not has_place:  # a newer call got it just as the message came
            self._places.acquire(1, caller)
        return message

    def release(self, caller: str | None) -> None:
        """Give a caller's place back."""
        self._places.release(1, caller)

    def _make_room(self, waiting: Iterable[asyncio.Timeout]) -> None:
        """End the call that has waited longest."""
        oldest = next(iter(waiting), None)
        if oldest is not None:
            self._places.release(1, self._waiting.pop(oldest))
            oldest.reschedule(0)
