"""Retries: of calls that find the service overloaded, the caller limited, or nothing to connect to."""

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

# Up to half a second before the second attempt, up to twice as long before each further one.
_BACKOFF: Final = wait_random_exponential(multiplier=0.5, max=10)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (getattr(error, "retry_after", None) or 0) + _BACKOFF(state)


@dataclass(frozen=True)
class RetryPolicy:
    """How long, and how often, to attempt a call.

    An attempt is a function of the seconds that it may take.
    """

    timeout: float
    """Seconds for all attempts together and the waits between them."""
    retries: int
    """Attempts after the first, at most."""

    blocking: bool = False
    """Whether waits block, as attempts then do."""

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
