"""Adaptive batching that merges the requests that wait and never waits for more.

BentoML's own dispatcher learns from a burst how long to wait for more, goes on waiting after it, and cancels with 503
what waits longer than a limit. This one calls as soon as it can: what arrives meanwhile is the next call. So a batch is
as large as the calls are slow, and a lone request finds nothing to wait for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from drugpred.monitoring.metrics import BATCH_PROFILES
from drugpred.serving.capacity import CapacityLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class Job(Generic[_Item, _Answer]):
    """The items of one request.

    Outside of an event loop, to await it yields it, and whoever drives the coroutine sends the answers.
    """

    __slots__ = ("items",)

    def __init__(self, items: Sequence[_Item]) -> None:
        self.items = items

    def __await__(self) -> Generator[object, Sequence[_Answer], Sequence[_Answer]]:
        return (yield self)


class AdaptiveBatcher(Generic[_Item, _Answer]):
    """Calls a function of many items for requests of some, one call at a time.

    Parameters
    ----------
    call : callable
        Takes items and returns an answer for each, in their order.
    max_batch_size : int
        The most items of a call; only a request that alone has more exceeds it.
    max_waiting : int
        The most items that wait or are answered.
    """

    def __init__(
        self, call: Callable[[Sequence[_Item]], Sequence[_Answer]], max_batch_size: int, max_waiting: int
    ) -> None:
        self.max_batch_size = max_batch_size
        self._call = call
        self._limiter = CapacityLimiter(max_waiting)
        self._waiting: deque[tuple[Sequence[_Item], asyncio.Future[Sequence[_Answer]]]] = deque()
        self._scheduled = False

    async def submit(self, items: Sequence[_Item]) -> Sequence[_Answer]:
        """Return the answers to one request's items.

        Raises
        ------
        OverloadedError
            Too many wait.
        Exception
            Whatever the call raises for these items.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return await Job[_Item, _Answer](items)
        self._limiter.acquire(len(items))
        answers: asyncio.Future[Sequence[_Answer]] = loop.create_future()
        self._waiting.append((items, answers))
        if not self._scheduled:
            # It runs after what is ready now, so requests that came together are one batch.
            self._scheduled = True
            loop.call_soon(self._flush, loop)
        try:
            return await answers
        finally:
            self._limiter.release(len(items))

    def answer(self, requests: Sequence[Sequence[_Item]]) -> list[Sequence[_Answer] | Exception]:
        """Return the answers to the items of each request, or what the call raises for them alone."""
        items = requests[0] if len(requests) == 1 else [item for request in requests for item in request]
        try:
            BATCH_PROFILES.observe(len(items))
            answers = self._call(items)
            if len(answers) != len(items):
                raise ValueError(f"expected {len(items)} answers of the call")  # noqa: TRY301 - as any other fault
        except Exception as error:  # noqa: BLE001 - whatever it is, it may be the fault of one request alone
            return [error] if len(requests) == 1 else [self.answer([request])[0] for request in requests]
        parts: list[Sequence[_Answer] | Exception] = []
        start = 0
        for request in requests:
            stop = start + len(request)
            parts.append(answers[start:stop])
            start = stop
        return parts

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        requests, futures = self._take()
        for future, answers in zip(futures, self.answer(requests) if requests else (), strict=True):
            if isinstance(answers, Exception):
                future.set_exception(answers)
            else:
                future.set_result(answers)
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            loop.call_soon(self._flush, loop)

    def _take(self) -> tuple[list[Sequence[_Item]], list[asyncio.Future[Sequence[_Answer]]]]:
        """Return the requests of the next call; those of clients that are gone are left out."""
        requests: list[Sequence[_Item]] = []
        futures: list[asyncio.Future[Sequence[_Answer]]] = []
        size = 0
        while self._waiting and (not requests or size + len(self._waiting[0][0]) <= self.max_batch_size):
            items, future = self._waiting.popleft()
            if not future.done():
                requests.append(items)
                futures.append(future)
                size += len(items)
        return requests, futures
