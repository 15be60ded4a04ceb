"""The access policy of HTTP and gRPC: API keys, scopes and rate limits."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, AnyStr, Final, NamedTuple, Self

from drugpred.errors import ForbiddenError, TooManyRequestsError, UnauthenticatedError
from drugpred.monitoring.metrics import DENIED
from drugpred.serving.access.api_keys import Key, ReloadingApiKeys, Scope
from drugpred.serving.access.rate_limit import RateLimiter, client_id

if TYPE_CHECKING:
    from drugpred.settings import Settings


CALLER: Final[ContextVar[Key | None]] = ContextVar("caller", default=None)
"""The caller of the current request: an API key, or an address with the scopes granted without a key. None if every
request is accepted."""


def caller_name() -> str | None:
    """Return the name of the current request's caller, None if every request is accepted."""
    caller = CALLER.get()
    return None if caller is None else caller.name


class AccessRule(NamedTuple):
    """What a request must have."""

    key: bool = True  # whether it needs an API key, if any are configured
    scope: Scope | None = None  # the scope that the key must have; None for any key
    counted: bool = True  # whether it counts towards the caller's rate limit


HEALTH: Final = AccessRule(key=False, counted=False)
STATIC: Final = AccessRule(key=False)  # nothing about a person or a model
ANY_KEY: Final = AccessRule()  # unknown paths: without a key nobody learns which paths exist

_SCHEME: Final = len("bearer ")
_BASIC: Final = len("basic ")


def extract_key(authorization: AnyStr | None, key: AnyStr | None) -> AnyStr | None:
    """Return the key of `Authorization: Bearer`, else of X-API-Key, or None.

    Spaces around it are removed. Another scheme gives an empty key, which is unknown; except Basic together with
    X-API-Key, which is for a proxy.
    """
    if authorization is None:
        return None if key is None else key.strip()
    scheme, value = authorization[:_SCHEME], authorization[_SCHEME:]
    if scheme.lower() in {"bearer ", b"bearer "}:
        return value.strip()
    is_basic = scheme[:_BASIC].lower() in {"basic ", b"basic "}
    return key.strip() if is_basic and key is not None else value[:0]


class AccessPolicy:
    """The access policy: authorizes requests.

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
        """Whether every request is accepted."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the policy that the settings describe.

        Raises
        ------
        ConfigurationError
            The keys, the limit or the URL of Redis is malformed.
        """
        url = settings.redis_url.get_secret_value() if settings.redis_url else None
        keys = ReloadingApiKeys(settings.api_keys_file, settings.api_keys)
        return cls(keys, RateLimiter(settings.rate_limit, url))

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._rates.close()

    def admits(self, rule: AccessRule, presented: str | bytes | None) -> bool:
        """Return whether a request has a key with which `authorize` would accept it at once, and then count it.

        A request with False is not counted, and is left to `authorize`.
        """
        if presented is None or self._rates.shared:
            return False
        key = self.keys.find(presented)
        if key is None or (rule.scope is not None and rule.scope not in key.scopes):
            return False
        return not rule.counted or self._rates.hit_here(key.name) is None

    async def authorize(self, rule: AccessRule, presented: str | bytes | None, address: str) -> None:
        """Authorize a request, and set `CALLER`.

        Parameters
        ----------
        rule : AccessRule
        presented : str or bytes, optional
            The key that came with the request.
        address : str
            The client's address; it identifies the caller if there is no key.

        Raises
        ------
        UnauthenticatedError, ForbiddenError, TooManyRequestsError
        """
        key = None if presented is None else self.keys.find(presented)
        caller = key or Key(client_id(address), self._without_key)
        CALLER.set(caller)
        if rule.counted and self._rates.enabled:
            if self._rates.shared:
                await asyncio.sleep(0)  # grpc_unary's thread continues in the event loop
            wait = await self._rates.hit(caller.name)
            if wait is not None:
                raise TooManyRequestsError(wait)
        if not rule.key or not self.keys.enabled:
            return
        if key is None:
            DENIED.labels("missing" if presented is None else "unknown").inc()
            raise UnauthenticatedError("expected an API key, as Authorization: Bearer or X-API-Key")
        if rule.scope is not None and rule.scope not in key.scopes:
            DENIED.labels("scope").inc()
            raise ForbiddenError(f"expected an API key with the scope {rule.scope}")
