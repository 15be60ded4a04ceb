"""How often a caller may ask: as often as the limit says, counted in a window that slides.

The window is that of the sliding window counter: what was let through in the last period and what was in this one,
the former by the share of it that the window still covers. Two numbers for each caller, whatever the limit, and no more
than the limit at once, not even where one period meets the next.

In memory each process counts for itself; with Redis all count together.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import threading
import time
from collections import OrderedDict
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from drugpred.errors import ConfigurationError
from drugpred.monitoring.failure_log import FailureLog
from drugpred.monitoring.feedback.dedup import redis_pool
from drugpred.monitoring.metrics import RATES_UNSHARED

if TYPE_CHECKING:
    from limits import RateLimitItem

logger = logging.getLogger(__name__)

_MAX_CALLERS: Final = 1 << 16
"""That are remembered of a period, some 10 MB; beyond, who has not asked for longest begins anew."""

_MAX_SECONDS: Final = 366 * 24 * 3600

_REDIS_SECONDS: Final = 0.25  # how long a request waits for Redis, all in all
_PAUSE_SECONDS: Final = 5.0  # for how long Redis is not asked where it did not answer

_SETTLED_SECONDS: Final = 60.0
"""For how long Redis answers before the log says that it does again: full of clients, it answers now and then."""


@lru_cache(1024)
def client_id(address: str) -> str:
    """Return who calls from an address, which no key's name is equal to.

    Whoever has an IPv6 network has 2^64 addresses of it, so a /64 is one caller.

    Examples
    --------
    >>> client_id("192.0.2.1"), client_id("2001:db8::1")
    ('ip:192.0.2.1', 'ip:2001:db8::/64')
    """
    if ":" not in address:
        return f"ip:{address}"
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return f"ip:{address}"
    if found.ipv4_mapped is not None:
        return f"ip:{found.ipv4_mapped}"
    return f"ip:{ipaddress.IPv6Network((int(found), 64), strict=False)}"


class RateLimiter:
    """Limits how often each caller may call: in memory for any thread, with Redis for one event loop.

    Parameters
    ----------
    limit : str or None
        In the notation of the `limits` library, like ``100/minute`` or ``5 per 10 seconds``.
    redis_url : str or None
        Of the Redis that counts for all; without it, or while it does not answer, each process counts for itself.

    Attributes
    ----------
    enabled : bool
        Whether there is a limit.

    Raises
    ------
    ConfigurationError
        The limit or the URL is malformed.
    """

    def __init__(self, limit: str | None, redis_url: str | None = None) -> None:
        self.enabled = limit is not None
        self._here: _InMemory | None = None
        self._shared: _Redis | None = None
        if limit is not None:
            item = _item(limit)
            self._here = _InMemory(item.amount, item.get_expiry())
            if redis_url is not None:
                self._shared = _Redis(item, redis_url)

    @property
    def shared(self) -> bool:
        """Whether Redis is asked."""
        return self._shared is not None

    async def hit(self, caller: str) -> float | None:
        """Count a request, and return None where it is let through, else after how many seconds to try again."""
        if self._here is None:
            return None
        if self._shared is not None:
            try:
                return await self._shared.hit(caller)
            except _UnansweredError:
                RATES_UNSHARED.inc()
        return self._here.hit(caller)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            await self._shared.close()


class _UnansweredError(Exception):
    """Redis does not answer."""


class _InMemory:
    """Counts in memory.

    The storage in memory of `limits` would start a thread every 10 ms that walks through all callers.
    """

    def __init__(self, amount: int, seconds: int) -> None:
        self._amount = amount
        self._seconds = seconds
        self._lock = threading.Lock()
        self._period = -1
        self._last: OrderedDict[str, int] = OrderedDict()
        self._this: OrderedDict[str, int] = OrderedDict()

    def hit(self, caller: str) -> float | None:
        with self._lock:
            return self._hit(caller)

    def _hit(self, caller: str) -> float | None:
        at = time.monotonic() / self._seconds
        period = int(at)
        if period != self._period:
            self._last = self._this if period == self._period + 1 else OrderedDict()
            self._this = OrderedDict()
            self._period = period
        covered = 1 - (at - period)
        last, this = self._last.get(caller, 0), self._this.get(caller, 0)
        counted = int(last * covered)
        through = counted + this < self._amount
        self._this[caller] = this + through
        self._this.move_to_end(caller)
        if len(self._this) > _MAX_CALLERS:
            self._this.popitem(last=False)
        if through:
            return None
        return _rounded(_wait(last, covered * self._seconds, self._seconds))


class _Redis:
    """Counts in Redis, by its clock, in one script that nothing comes between."""

    def __init__(self, item: RateLimitItem, url: str) -> None:
        from limits.aio.storage import RedisStorage  # a plain start has neither in memory
        from limits.aio.strategies import SlidingWindowCounterRateLimiter
        from redis.asyncio import BlockingConnectionPool

        self._item = item
        self._pool = redis_pool(url, BlockingConnectionPool)
        options: dict[str, Any] = {"key_prefix": "drugpred:rate", "connection_pool": self._pool}
        self._storage = RedisStorage("async+redis://", implementation="redispy", **options)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        # Addresses are few enough to be tried one by one; who reads Redis should not have the password in it as well.
        self._key = blake2b(str(self._pool.connection_kwargs.get("password") or "").encode()).digest()
        self._failures = FailureLog(logger, "Redis counts requests again", _SETTLED_SECONDS)
        self._down = False
        self._again_at = 0.0
        self._refused: OrderedDict[str, float] = OrderedDict()

    async def hit(self, caller: str) -> float | None:
        # Until then no other process is answered otherwise; to ask would cost more than to serve.
        if (left := self._refused.get(caller, 0.0) - time.monotonic()) > 0:
            return _rounded(left)
        if self._down:
            if time.monotonic() < self._again_at:
                raise _UnansweredError
            self._pause()  # one asks, and the others do not wait for it
        name = blake2b(caller.encode(errors="surrogatepass"), key=self._key, digest_size=16).hexdigest()
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                wait = None
                if not await self._limiter.hit(self._item, name):
                    wait = self._refuse(caller, await self._wait(name))
        except Exception as error:  # whatever it is, the request is to be answered
            # By its type alone: its message may quote what was sent.
            self._failures.failed(f"Redis does not count requests ({type(error).__name__}): each process does")
            self._down = True
            self._pause()
            raise _UnansweredError from error
        self._failures.worked()
        self._down = False
        return wait

    async def close(self) -> None:
        await self._pool.disconnect()

    async def _wait(self, name: str) -> float:
        # get_window_stats() says at once in the first millisecond of a period.
        seconds = self._item.get_expiry()
        last, last_left, _, this_left = await self._storage.get_sliding_window(self._item.key_for(name), seconds)
        return _wait(last, last_left if last else this_left - seconds, seconds)

    def _refuse(self, caller: str, seconds: float) -> float:
        self._refused[caller] = time.monotonic() + seconds
        self._refused.move_to_end(caller)
        if len(self._refused) > _MAX_CALLERS:
            self._refused.popitem(last=False)
        return _rounded(seconds)

    def _pause(self) -> None:
        self._again_at = time.monotonic() + _PAUSE_SECONDS


def _wait(last: int, left: float, seconds: int) -> float:
    """Return in how many seconds one more fits, of a period that has so many left and that followed so many."""
    counted = int(last * left / seconds)
    # When the next of the last period leaves the window; else when this period becomes the last.
    return left - counted * seconds / last if counted else left


def _rounded(seconds: float) -> float:
    """Return the next whole second, at which the moment is past by a millisecond or more."""
    return math.floor(max(seconds, 0.0) + 0.001) + 1.0


def _item(limit: str) -> RateLimitItem:
    from limits import parse_many  # 2 MB that a start without limits does not need

    try:
        (item,) = parse_many(limit)
    except ValueError:
        item = None
    if item is None or item.amount < 1 or item.get_expiry() > _MAX_SECONDS:
        raise ConfigurationError("DRUGPRED_RATE_LIMIT: expected one limit like 100/minute, within a year")
    return item
