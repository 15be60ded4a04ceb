"""Adaptive batching that merges what waits and never waits for what is not there.

BentoML's own dispatcher learns from a burst how long to wait for more, goes on waiting after it, and cancels with 503
what waits longer than a limit. This one calls as soon as it can: what arrives meanwhile is the next call. So a batch is
as large as the calls are slow, and a lone request finds nothing to wait for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["Dispatcher"]


class _Job(NamedTuple):
    data: Any
    size: int
    answer: asyncio.Future[Any]


class Dispatcher:
    """Calls a function of batches, one call at a time; it takes the place of BentoML's `CorkDispatcher`.

    Parameters
    ----------
    max_latency_in_ms : int
        Not used: nothing is cancelled because it waits.
    max_batch_size : int
        The most items of a call; only a request that alone has more exceeds it.
    get_batch_size : callable
        Tells how many items a request has.
    **_ : object
        What else BentoML gives its own.
    """

    def __init__(
        self,
        max_latency_in_ms: int,  # noqa: ARG002 - BentoML's signature
        max_batch_size: int,
        *,
        get_batch_size: Callable[[Any], int],
        **_: object,
    ) -> None:
        self._most = max_batch_size
        self._size = get_batch_size
        self._waiting: deque[_Job] = deque()
        self._running: asyncio.Task[None] | None = None

    def __call__(self, call: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]) -> Callable[[Any], Awaitable[Any]]:
        """Return what answers one request's items by `call`, which takes several requests' items."""

        async def answer(data: Any) -> Any:  # noqa: ANN401 - whatever the service takes and gives
            loop = asyncio.get_running_loop()
            job = _Job(data, self._size(data), loop.create_future())
            self._waiting.append(job)
            if self._running is None:
                # A task starts after what is ready now has run, so requests that came together are one batch.
                self._running = loop.create_task(self._run(call))
            return await job.answer

        return answer

    async def _run(self, call: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]) -> None:
        try:
            while jobs := self._take():
                await self._answer(call, jobs)
                await asyncio.sleep(0)  # a call may never have let anything else run
        finally:
            self._running = None

    def _take(self) -> list[_Job]:
        """Return the requests of the next call; those of clients that are gone are left out."""
        jobs: list[_Job] = []
        size = 0
        while self._waiting and (not jobs or size + self._waiting[0].size <= self._most):
            job = self._waiting.popleft()
            if not job.answer.done():
                jobs.append(job)
                size += job.size
        return jobs

    async def _answer(self, call: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]], jobs: list[_Job]) -> None:
        try:
            answers = await call([job.data for job in jobs])
            for job, answer in list(zip(jobs, answers, strict=True)):  # all of them, before any is given
                if not job.answer.done():  # its client may have gone meanwhile
                    job.answer.set_result(answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, it may be the fault of one request alone
            if len(jobs) > 1:
                for job in jobs:
                    await self._answer(call, [job])
            elif not jobs[0].answer.done():
                jobs[0].answer.set_exception(error)
        finally:
            for job in jobs:
                job.answer.cancel()  # does nothing but where the call itself was cancelled
