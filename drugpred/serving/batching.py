"""Adaptive batching that merges what waits and never waits for what is not there.

BentoML's own dispatcher learns from a burst how long to wait for more, goes on waiting after it, and cancels with 503
what waits longer than a limit. This one calls as soon as it can: what arrives meanwhile is the next call. So a batch is
as large as the calls are slow, and a lone request finds nothing to wait for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from prometheus_client import Histogram

from drugpred.serving.capacity import CapacityLimiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["SIZES", "AdaptiveBatcher"]

SIZES: Final = Histogram(
    "drugpred_batch_profiles",
    "Profiles of requests that were answered together.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class _Job(NamedTuple, Generic[_Item, _Answer]):
    items: Sequence[_Item]
    answers: asyncio.Future[Sequence[_Answer]]


class AdaptiveBatcher(Generic[_Item, _Answer]):
    """Calls a function of many items for requests of some, one call at a time.

    Parameters
    ----------
    call : callable
        Takes items and returns an answer for each, in their order.
    most : int
        The most items of a call; only a request that alone has more exceeds it.
    most_waiting : int
        The most items that are held, those of the call included.
    """

    def __init__(
        self, call: Callable[[Sequence[_Item]], Awaitable[Sequence[_Answer]]], most: int, most_waiting: int
    ) -> None:
        self._call = call
        self._most = most
        self._held = CapacityLimiter(most_waiting)
        self._waiting: deque[_Job[_Item, _Answer]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def submit(self, items: Sequence[_Item]) -> Sequence[_Answer]:
        """Return the answers to one request's items; raises what the call does, and OverloadedError."""
        self._held.take(len(items))
        loop = asyncio.get_running_loop()
        job: _Job[_Item, _Answer] = _Job(items, loop.create_future())
        self._waiting.append(job)
        if self._running is None:
            # A task starts after what is ready now has run, so requests that came together are one batch.
            self._running = loop.create_task(self._run())
        try:
            return await job.answers
        finally:
            self._held.give(len(items))

    async def _run(self) -> None:
        try:
            while jobs := self._take():
                await self._answer(jobs)
                await asyncio.sleep(0)  # a call may never have let anything else run
        finally:
            self._running = None

    def _take(self) -> list[_Job[_Item, _Answer]]:
        """Return the requests of the next call; those of clients that are gone are left out."""
        jobs: list[_Job[_Item, _Answer]] = []
        size = 0
        while self._waiting and (not jobs or size + len(self._waiting[0].items) <= self._most):
            job = self._waiting.popleft()
            if not job.answers.done():
                jobs.append(job)
                size += len(job.items)
        return jobs

    async def _answer(self, jobs: list[_Job[_Item, _Answer]]) -> None:
        try:
            items = jobs[0].items if len(jobs) == 1 else [item for job in jobs for item in job.items]
            SIZES.observe(len(items))
            answers = await self._call(items)
            if len(answers) != len(items):
                raise ValueError(f"expected {len(items)} answers of the call")  # noqa: TRY301 - as any other fault
            start = 0
            for job in jobs:
                stop = start + len(job.items)
                if not job.answers.done():  # its client may have gone meanwhile
                    job.answers.set_result(answers[start:stop])
                start = stop
        except Exception as error:  # noqa: BLE001 - whatever it is, it may be the fault of one request alone
            if len(jobs) > 1:
                for job in jobs:
                    await self._answer([job])
            elif not jobs[0].answers.done():
                jobs[0].answers.set_exception(error)
        finally:
            for job in jobs:
                job.answers.cancel()  # does nothing but where the call itself was cancelled
