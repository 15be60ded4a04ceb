"""Retries of calls when the service is overloaded or unreachable, or limits the caller's rate."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from drugpred.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

T = TypeVar("T")

# At most 0.5 s before the second attempt, and twice as much before each further one.
_BACKOFF: Final = wait_random_exponential(multiplier=0.5, max=10)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (getattr(error, "retry_after", None) or 0) + _BACKOFF(state)


@dataclass(frozen=True)
class RetryPolicy:
    """Number and duration of the attempts of a call.

    An attempt is a function of its timeout in seconds.
    """

    timeout: float
    """Seconds for all attempts and the waits between them."""
    retries: int
    """Attempts after the first."""

    blocking: bool = False
    """Whether attempts and waits block."""

    async def run(self, attempt: Callable[[float], Awaitable[T]]) -> T:
        """Return the result of the first attempt that succeeds."""
        end = time.monotonic() + self.timeout

        async def limited() -> T:
            return await attempt(max(end - time.monotonic(), 0.001))

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(UnavailableError),
            stop=stop_after_attempt(self.retries + 1) | stop_before_delay(self.timeout),
            wait=_wait,
            sleep=_sleep if self.blocking else asyncio.sleep,
            reraise=True,
        )
        result: T = await retrying(limited)
        return result


async def _sleep(seconds: float) -> None:
    time.sleep(seconds)
