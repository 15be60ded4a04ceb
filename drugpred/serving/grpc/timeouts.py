"""A timeout for the first message of a call and a limit of waiting calls, which grpc.aio lacks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from drugpred.errors import OverloadedError, RequestTimeoutError
from drugpred.limits import REQUEST_TIMEOUT
from drugpred.serving.access.policy import caller_name
from drugpred.serving.capacity import SharedCapacityLimiter, dispensable

if TYPE_CHECKING:
    from collections.abc import Collection

    import grpc


class CallSlots:
    """Slots for calls, in one event loop: calls that wait for their first message, and calls that have received it.

    When all slots are in use, a new call takes the slot of the call that has waited longest for its message; when only
    its caller's are, of that caller's calls. Most messages arrive together with their calls, so the oldest waiting call
    was most likely sent without one; but if most of them are of one connection, one of that connection is ended.

    Parameters
    ----------
    most : int
        Slots; each may hold the longest message, or all of it except the last byte.
    most_each : int
        Slots of one caller.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._places = SharedCapacityLimiter(most, most_each)
        self._waiting: dict[grpc.aio.ServicerContext, tuple[asyncio.Timeout, str | None]] = {}

    async def acquire(self, context: grpc.aio.ServicerContext) -> bytes:
        """Take a slot and return the first message; `grpc.aio.EOF`, without a slot, if there is none.

        Raises
        ------
        RequestTimeoutError
        OverloadedError
            There is no slot, or a newer call needs this one.
        """
        caller = caller_name()
        if self._places.is_share_full(caller):
            self._make_room([waits for waits, (_, by) in self._waiting.items() if by == caller])
        elif self._places.is_full():
            self._make_room(self._waiting)
        self._places.acquire(1, caller)
        arrived = False
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT) as patience:
                self._waiting[context] = patience, caller
                message: bytes = await context.read()
            arrived = True
        except TimeoutError:
            raise (RequestTimeoutError(REQUEST_TIMEOUT) if context in self._waiting else OverloadedError()) from None
        finally:
            has_place = self._waiting.pop(context, None) is not None
            if has_place and not arrived:
                self.release(caller)
        if not has_place:  # a newer call took the slot just as the message arrived
            self._places.acquire(1, caller)
        return message

    def release(self, caller: str | None) -> None:
        """Give a caller's slot back."""
        self._places.release(1, caller)

    def _make_room(self, waiting: Collection[grpc.aio.ServicerContext]) -> None:
        """End one of these calls, if there are any."""
        if waiting:
            patience, caller = self._waiting.pop(dispensable(waiting))
            self._places.release(1, caller)
            patience.reschedule(0)
