"""Rate limits, by a sliding window counter.

The rate is the count of the present period plus the count of the last one, weighted by the share of it that the window
still covers. That takes two numbers for each caller. No period allows more than the limit, and a new one does not begin
with nothing counted, as it would with a fixed window.

In memory each process counts its own requests; with Redis all processes count together.
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
"""Callers remembered in each period, some 10 MB; beyond it the least recently seen caller is evicted."""

_MAX_SECONDS: Final = 366 * 24 * 3600

_REDIS_SECONDS: Final = 0.25  # how long a request waits for Redis in total
_PAUSE_SECONDS: Final = 5.0  # how long Redis is left alone after it failed to answer

_SETTLED_SECONDS: Final = 60.0
"""How long Redis must answer before the log reports it as back: with too many clients it answers now and then."""


@lru_cache(1024)
def client_id(address: str) -> str:
    """Return the id of a caller without a key, made from its address; no key has such a name.

    A client of an IPv6 network has 2^64 addresses, so a /64 is one caller.

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
    """Rate limit of each caller: in memory for any thread, with Redis for one event loop.

    Parameters
    ----------
    limit : str or None
        In the notation of the `limits` library, like ``100/minute`` or ``5 per 10 seconds``.
    redis_url : str or None
        URL of the Redis that counts for all processes; without it, or if it does not answer, each process counts alone.

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
        """Whether Redis counts."""
        return self._shared is not None

    async def hit(self, caller: str) -> float | None:
        """Count a request; return None if it is allowed, else the seconds until a retry may succeed."""
        if self._shared is not None:
            try:
                return await self._shared.hit(caller)
            except _UnansweredError:
                RATES_UNSHARED.inc()
        return self.hit_here(caller)

    def hit_here(self, caller: str) -> float | None:
        """Count a request as `hit` does without Redis."""
        return None if self._here is None else self._here.hit(caller)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            await self._shared.close()


class _UnansweredError(Exception):
    """Redis does not answer."""


class _InMemory:
    """Rate limit in memory.

    The memory storage of `limits` would start a thread every 10 ms that goes through all callers.
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
    """Rate limit in Redis, by the clock of Redis, in one atomic script."""

    def __init__(self, item: RateLimitItem, url: str) -> None:
        from limits.aio.storage import RedisStorage  # costs memory that a start without Redis does not need
        from limits.aio.strategies import SlidingWindowCounterRateLimiter
        from redis.asyncio import BlockingConnectionPool

        self._item = item
        self._pool = redis_pool(url, BlockingConnectionPool)
        options: dict[str, Any] = {"key_prefix": "drugpred:rate", "connection_pool": self._pool}
        self._storage = RedisStorage("async+redis://", implementation="redispy", **options)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        # There are few enough addresses to try each, so the hash needs a secret that is not in Redis: the password.
        self._key = blake2b(str(self._pool.connection_kwargs.get("password") or "").encode()).digest()
        self._failures = FailureLog(logger, "Redis counts requests again", _SETTLED_SECONDS)
        self._down = False
        self._again_at = 0.0
        self._refused: OrderedDict[str, float] = OrderedDict()

    async def hit(self, caller: str) -> float | None:
        # Until then Redis would give every process the same answer, and asking costs more than a prediction.
        if (left := self._refused.get(caller, 0.0) - time.monotonic()) > 0:
            return _rounded(left)
        if self._down:
            if time.monotonic() < self._again_at:
                raise _UnansweredError
            self._pause()  # one request asks Redis, and the others do not wait for it
        name = blake2b(caller.encode(errors="surrogatepass"), key=self._key, digest_size=16).hexdigest()
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                wait = None
                if not await self._limiter.hit(self._item, name):
                    wait = self._refuse(caller, await self._wait(name))
        except Exception as error:  # the request must be answered in any case
            # Only the type: the message may quote sent data.
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
        # get_window_stats() would say 0 in the first millisecond of a period.
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
    """Return the seconds until another request fits: `last` came in the last period, `left` seconds remain."""
    counted = int(last * left / seconds)
    # Until enough of the last period has left the window; else until this period becomes the last one.
    return left - counted * seconds / last if counted else left


def _rounded(seconds: float) -> float:
    """Return the next whole second after the moment, with at least a millisecond to spare."""
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
