"""Adaptive batching: a batch holds the requests that are waiting; it never waits for more.

BentoML's own dispatcher learns from a burst how long to wait for more requests, keeps waiting after the burst, and
cancels with 503 what waits longer than a limit. This batcher calls the function as soon as it is free; requests that
arrive during a call are the next batch. So batches grow with the duration of a call, and a single request does not
wait.
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

    Awaiting it outside of an event loop yields it; the code that drives the coroutine sends the answers.
    """

    __slots__ = ("items",)

    def __init__(self, items: Sequence[_Item]) -> None:
        self.items = items

    def __await__(self) -> Generator[object, Sequence[_Answer], Sequence[_Answer]]:
        return (yield self)


class AdaptiveBatcher(Generic[_Item, _Answer]):
    """Batcher that merges requests, and calls a function with one batch at a time.

    Parameters
    ----------
    call : callable
        Takes items and returns an answer for each, in their order.
    max_batch_size : int
        Items of a batch; only a single request may exceed it.
    max_waiting : int
        Items that may wait or be in work.
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
        """Return the answers to the items of a request.

        Raises
        ------
        OverloadedError
            Too many items wait.
        Exception
            What `call` raises for these items.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return await Job[_Item, _Answer](items)
        self._limiter.acquire(len(items))
        answers: asyncio.Future[Sequence[_Answer]] = loop.create_future()
        self._waiting.append((items, answers))
        if not self._scheduled:
            # Runs after all callbacks that are ready now, so that requests that came together are one batch.
            self._scheduled = True
            loop.call_soon(self._flush, loop)
        try:
            return await answers
        finally:
            self._limiter.release(len(items))

    def answer(self, requests: Sequence[Sequence[_Item]]) -> list[Sequence[_Answer] | Exception]:
        """Return the answers to each request, or the exception that `call` raises for that request alone."""
        items = requests[0] if len(requests) == 1 else [item for request in requests for item in request]
        try:
            BATCH_PROFILES.observe(len(items))
            answers = self._call(items)
            if len(answers) != len(items):
                raise ValueError(f"expected {len(items)} answers of the call")  # noqa: TRY301 - as any other fault
        except Exception as error:  # noqa: BLE001 - any exception may be the fault of a single request
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
        """Return the requests of the next batch, without those of clients that have disconnected."""
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
