"""Adaptive batching: a batch holds the requests that are waiting; it never waits for more.

BentoML's own dispatcher learns from a burst how long to wait for more requests, keeps waiting after the burst, and
cancels with 503 what waits longer than a limit. This batcher calls the function as soon as it is free; requests that
arrive during a call are the next batch. So batches grow with the duration of a call, and a single request does not
wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

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


class Reply(Protocol):
    """What gets the answers to a request: a future, or an object like one."""

    def done(self) -> bool:
        """Return whether nobody waits for the answers."""

    def set_result(self, answers: Any, /) -> None:  # noqa: ANN401 - as generic as the batcher
        """Take the answers."""

    def set_exception(self, error: Exception, /) -> None:
        """Take the exception that the request raises."""


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
        self._waiting: deque[tuple[Sequence[_Item], Reply]] = deque()
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
        answers: asyncio.Future[Sequence[_Answer]] = loop.create_future()
        self.put(items, answers)
        return await answers

    def put(self, items: Sequence[_Item], reply: Reply) -> None:
        """Have the items of a request answered, in the running event loop.

        Raises
        ------
        OverloadedError
            Too many items wait.
        """
        self._limiter.acquire(len(items))
        self._waiting.append((items, reply))
        if not self._scheduled:
            # Runs after all callbacks that are ready now, so that requests that came together are one batch.
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def is_full(self) -> bool:
        """Return whether no more items may wait."""
        return self._limiter.is_full()

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

    def flush(self) -> None:
        """Answer the next batch now."""
        requests, replies = self._take()
        for reply, answers in zip(replies, self.answer(requests) if requests else (), strict=True):
            if isinstance(answers, Exception):
                reply.set_exception(answers)
            else:
                reply.set_result(answers)
        self._limiter.release(sum(map(len, requests)))

    def _run(self) -> None:
        self.flush()
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._run)

    def _take(self) -> tuple[list[Sequence[_Item]], list[Reply]]:
        """Return the requests of the next batch, without those of clients that have disconnected."""
        requests: list[Sequence[_Item]] = []
        replies: list[Reply] = []
        size = 0
        while self._waiting and (not requests or size + len(self._waiting[0][0]) <= self.max_batch_size):
            items, reply = self._waiting.popleft()
            if reply.done():
                self._limiter.release(len(items))
            else:
                requests.append(items)
                replies.append(reply)
                size += len(items)
        return requests, replies
