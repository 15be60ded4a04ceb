"""Authorization by key, scope and rate."""

import asyncio
from hashlib import sha256

import pytest
from prometheus_client import REGISTRY

from drugpred.errors import ConfigurationError, ForbiddenError, TooManyRequestsError, UnauthenticatedError
from drugpred.serving.access.api_keys import Scope
from drugpred.serving.access.policy import (
    ANY_KEY,
    CALLER,
    HEALTH,
    STATIC,
    AccessPolicy,
    AccessRule,
    extract_key,
)
from drugpred.settings import Settings

PREDICT = AccessRule(scope=Scope.PREDICT)
KEYS = ";".join(
    f"{name} {scopes} {sha256(name.encode()).hexdigest()}"
    for name, scopes in [("alice", "predict,read"), ("bob", "predict"), ("probe", "metrics")]
)


def admission(**settings):
    return AccessPolicy.from_settings(Settings(**settings))


def check(admission, need, key=None, address="192.0.2.1"):
    asyncio.run(admission.authorize(need, key, address))


def denied(reason):
    return REGISTRY.get_sample_value("drugpred_denied_total", {"reason": reason}) or 0


def test_without_keys_and_limit_everybody_is_accepted():
    nobody = admission()
    assert nobody.open
    check(nobody, PREDICT)
    check(nobody, PREDICT, "whatever")


@pytest.mark.parametrize("settings", [{"api_keys": KEYS}, {"rate_limit": "1/minute"}])
def test_with_either_it_is_not_open(settings):
    assert not admission(**settings).open


def test_keys_open_the_endpoints_of_their_scopes():
    keyed = admission(api_keys=KEYS)
    check(keyed, PREDICT, "alice")
    check(keyed, PREDICT, b"bob")
    check(keyed, AccessRule(scope=Scope.READ), "alice")
    check(keyed, ANY_KEY, "probe")
    before = denied("scope")
    for need, key in [
        (AccessRule(scope=Scope.READ), "bob"),
        (PREDICT, "probe"),
        (AccessRule(scope=Scope.FEEDBACK), "alice"),
    ]:
        with pytest.raises(ForbiddenError, match=f"scope {need.scope}$"):
            check(keyed, need, key)
    assert denied("scope") == before + 3


@pytest.mark.parametrize(
    ("key", "reason"), [(None, "missing"), ("", "unknown"), ("mallory", "unknown"), ("ali", "unknown")]
)
@pytest.mark.parametrize("need", [PREDICT, ANY_KEY])
def test_callers_without_a_known_key_are_refused(key, reason, need):
    before = denied(reason)
    with pytest.raises(UnauthenticatedError) as caught:
        check(admission(api_keys=KEYS), need, key)
    assert denied(reason) == before + 1
    assert "mallory" not in str(caught.value)


@pytest.mark.parametrize("need", [HEALTH, STATIC])
def test_health_and_static_files_need_no_key(need):
    check(admission(api_keys=KEYS), need)
    check(admission(api_keys=KEYS), need, "mallory")


def test_a_key_is_limited_wherever_it_comes_from_and_an_address_by_itself():
    limited = admission(api_keys=KEYS, rate_limit="3/hour")

    async def go():
        for i in range(3):
            await limited.authorize(PREDICT, "alice", f"192.0.2.{i}")
        with pytest.raises(TooManyRequestsError) as caught:
            await limited.authorize(PREDICT, "alice", "192.0.2.9")
        await limited.authorize(PREDICT, "bob", "192.0.2.9")
        assert 1 <= caught.value.retry_after <= 7200
        # Who tries keys is limited by address, right ones or not.
        for _ in range(3):
            with pytest.raises(UnauthenticatedError):
                await limited.authorize(PREDICT, "guess", "192.0.2.7")
        with pytest.raises(TooManyRequestsError):
            await limited.authorize(PREDICT, "guess", "192.0.2.7")
        await limited.authorize(HEALTH, None, "192.0.2.7")

    asyncio.run(go())


def test_without_keys_addresses_are_limited():
    limited = admission(rate_limit="1/hour")

    async def go():
        await limited.authorize(PREDICT, "any", "192.0.2.1")
        await limited.authorize(PREDICT, "any", "192.0.2.2")
        with pytest.raises(TooManyRequestsError):
            await limited.authorize(PREDICT, "another", "192.0.2.1")

    asyncio.run(go())


@pytest.mark.parametrize(
    "settings", [{"api_keys": "alice predict"}, {"rate_limit": "often"}, {"api_keys_file": "/nowhere/keys"}]
)
def test_malformed_settings_are_refused(settings):
    with pytest.raises(ConfigurationError, match="expected"):
        admission(**settings)


@pytest.mark.parametrize("form", [str, str.encode])
def test_blanks_around_a_key_are_no_part_of_it(form):
    given = [
        ("Bearer k", None, "k"),
        ("bearer  k \t", "other", "k"),
        (None, " k\t", "k"),
        (None, "k", "k"),
        ("Basic YTpi", " k ", "k"),
        ("Basic YTpi", None, ""),
        ("Bearer ", "k", ""),
        ("Bearer", "k", ""),
        ("Digest YTpi", "k", ""),
        (None, None, None),
    ]
    for authorization, key, expected in given:
        found = extract_key(*(None if each is None else form(each) for each in (authorization, key)))
        assert found == (None if expected is None else form(expected))


def test_the_caller_is_known_from_then_on():
    async def callers():
        keyed = admission(api_keys=KEYS, rate_limit="9/hour")
        found = []
        for key in ("alice", None, "wrong"):
            await keyed.authorize(HEALTH, key, "2001:db8::1")
            found.append((CALLER.get().name, sorted(CALLER.get().scopes)))
        await admission(rate_limit="9/hour").authorize(PREDICT, None, "192.0.2.1")
        return found, CALLER.get()

    found, last = asyncio.run(callers())
    assert found == [("alice", ["predict", "read"]), ("ip:2001:db8::/64", []), ("ip:2001:db8::/64", [])]
    assert (last.name, last.scopes) == ("ip:192.0.2.1", frozenset(Scope))
