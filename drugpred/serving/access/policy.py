"""Who may call what, and how often: one decision for HTTP and gRPC.

::

    AccessError
    ├── InvalidHeadersError          the headers contradict themselves
    ├── UnauthenticatedError  no key, or none that is known
    ├── ForbiddenError        the key's scopes do not include this
    ├── RateLimitedError      the caller asks too often
    ├── PayloadTooLargeError          the request is longer than is taken
    ├── UnsupportedEncodingError           the body comes in a coding that is not taken
    ├── InvalidEncodingError          the body is not what its coding says
    └── OverloadedError       more is asked at once than can be held
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, AnyStr, ClassVar, Final, NamedTuple, Self

from drugpred.monitoring.metrics import DENIED, LIMITED
from drugpred.serving.access.api_keys import Key, ReloadingApiKeys, Scope
from drugpred.serving.access.rate_limit import RateLimiter, client_id

if TYPE_CHECKING:
    from drugpred.settings import Settings

__all__ = [
    "ANY_KEY",
    "CALLER",
    "HEALTH",
    "STATIC",
    "AccessError",
    "AccessPolicy",
    "AccessRule",
    "ForbiddenError",
    "InvalidEncodingError",
    "InvalidHeadersError",
    "OverloadedError",
    "PayloadTooLargeError",
    "RateLimitedError",
    "UnauthenticatedError",
    "UnsupportedEncodingError",
    "caller_name",
    "extract_key",
]


CALLER: Final[ContextVar[Key | None]] = ContextVar("caller", default=None)
"""Who makes the call that is answered: a key, or an address with the scopes that it has without one. None where every
call is let in."""


def caller_name() -> str | None:
    """Return who makes the call that is answered, None if every call is let in."""
    caller = CALLER.get()
    return None if caller is None else caller.name


class AccessError(Exception):
    """A call is not answered, for a reason that its caller is told."""

    status: ClassVar[int]
    """Of HTTP."""
    retry_after: float | None = None
    """In seconds."""


class InvalidHeadersError(AccessError):
    """The headers contradict themselves: a proxy may have read them otherwise."""

    status = 400


class UnauthenticatedError(AccessError):
    """No key, or none that is known."""

    status = 401


class ForbiddenError(AccessError):
    """The key's scopes do not include this."""

    status = 403


class RateLimitedError(AccessError):
    """The caller asks too often."""

    status = 429

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many requests; try again later")
        self.retry_after = retry_after
        LIMITED.labels("rate").inc()


class PayloadTooLargeError(AccessError):
    """The request is longer than is taken."""

    status = 413

    def __init__(self, most: int) -> None:
        super().__init__(f"expected {most} bytes or fewer")
        LIMITED.labels("size").inc()


class UnsupportedEncodingError(AccessError):
    """The body comes in a coding that is not taken."""

    status = 415

    def __init__(self, *taken: str) -> None:
        super().__init__(f"expected the content-encoding {', '.join(taken)} or identity")


class InvalidEncodingError(AccessError):
    """The body is not what its coding says."""

    status = 400

    def __init__(self, coding: str) -> None:
        super().__init__(f"expected one whole {coding} stream")


class OverloadedError(AccessError):
    """More is asked at once than can be held."""

    status = 503
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("overloaded; try again later")
        LIMITED.labels("load").inc()


class AccessRule(NamedTuple):
    """What a call needs."""

    key: bool = True
    """Whether a key, where there are any."""
    scope: Scope | None = None
    """Which scope of it, None for whichever."""
    counted: bool = True
    """Whether it counts towards the caller's rate."""


HEALTH: Final = AccessRule(key=False, counted=False)
_SCHEME: Final = len("bearer ")
_BASIC: Final = len("basic ")

STATIC: Final = AccessRule(key=False)
"""Tells of nobody, and of no model."""
ANY_KEY: Final = AccessRule()
"""What is unknown: without a key nobody finds out what there is."""


def extract_key(authorization: AnyStr | None, key: AnyStr | None) -> AnyStr | None:
    """Return the key that came with a call, as `Authorization: Bearer` or else as X-API-Key, None where none came.

    Blanks around it are no part of it. One that comes in another scheme is empty, and so unknown; but Basic beside
    X-API-Key is for a proxy.
    """
    if authorization is None:
        return None if key is None else key.strip()
    scheme, value = authorization[:_SCHEME], authorization[_SCHEME:]
    if scheme.lower() in {"bearer ", b"bearer "}:
        return value.strip()
    is_basic = scheme[:_BASIC].lower() in {"basic ", b"basic "}
    return key.strip() if is_basic and key is not None else value[:0]


class AccessPolicy:
    """Decides of each call whether it is let in.

    Parameters
    ----------
    keys : ReloadingApiKeys
    rates : RateLimiter
    """

    def __init__(self, keys: ReloadingApiKeys, rates: RateLimiter) -> None:
        self.keys = keys
        self._rates = rates
        self._without_key = frozenset[Scope]() if keys.enabled else frozenset(Scope)
        self.open = not keys.enabled and not rates.enabled
        """Whether every call is let in."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what decides as an operator set it.

        Raises
        ------
        ConfigurationError
            Keys, limit or the Redis server are not as expected.
        """
        url = settings.redis_url.get_secret_value() if settings.redis_url else None
        keys = ReloadingApiKeys(settings.api_keys_file, settings.api_keys)
        return cls(keys, RateLimiter(settings.rate_limit, url))

    async def close(self) -> None:
        """Let go of Redis."""
        await self._rates.close()

    async def check(self, need: AccessRule, extract_key: str | bytes | None, address: str) -> None:
        """Let a call in, and set `CALLER`.

        Parameters
        ----------
        need : Need
        presented : str or bytes, optional
            The key that came with it.
        address : str
            Where it comes from: who calls, where no key tells.

        Raises
        ------
        AccessError
            It is not let in.
        """
        key = None if extract_key is None else self.keys.find(extract_key)
        caller = key or Key(client_id(address), self._without_key)
        CALLER.set(caller)
        if need.counted and self._rates.enabled:
            if self._rates.shared:
                await asyncio.sleep(0)  # a lane of gRPC goes on in the event loop
            wait = await self._rates.hit(caller.name)
            if wait is not None:
                raise RateLimitedError(wait)
        if not need.key or not self.keys.enabled:
            return
        if key is None:
            DENIED.labels("missing" if extract_key is None else "unknown").inc()
            raise UnauthenticatedError("expected an API key, as Authorization: Bearer or X-API-Key")
        if need.scope is not None and need.scope not in key.scopes:
            DENIED.labels("scope").inc()
            raise ForbiddenError(f"expected an API key with the scope {need.scope}")
