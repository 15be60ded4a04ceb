"""How long and how often a call is tried, by a clock that waits move."""

import asyncio
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from drugpred.client import blocking
from drugpred.client.retries import RetryPolicy
from drugpred.errors import DeadlineExceededError, RateLimitedError, UnavailableError


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

        def sleep(self, seconds):
            self.now += seconds

        async def nap(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(asyncio, "sleep", clock.nap)
    return clock


@pytest.fixture(params=["sync", "async"])
def run(request):
    def run(policy, attempt):
        async def awaited(left):
            return attempt(left)

        policy = replace(policy, blocking=request.param == "sync")
        return (blocking.run if policy.blocking else asyncio.run)(policy.run(awaited))

    return run


def test_an_attempt_has_the_remaining_time(run, clock):
    lefts = []

    def attempt(left):
        lefts.append(left)
        clock.now += 1
        if len(lefts) < 3:
            raise UnavailableError("")
        return clock.now

    started = clock.now
    assert run(RetryPolicy(10, 3), attempt) - started <= 3 + 0.5 + 1
    assert lefts[0] == 10
    assert 8.5 <= lefts[1] <= 9
    assert 6.5 <= lefts[2] <= 8


def test_no_attempt_begins_after_the_time(run, clock):
    ends = []

    def attempt(left):
        clock.now += 2
        ends.append(clock.now)
        raise UnavailableError("the last one")

    with pytest.raises(UnavailableError, match="the last one"):
        run(RetryPolicy(10, 1000), attempt)
    assert 3 <= len(ends) <= 5
    assert ends[-1] < 10 + 2


def test_waits_grow_and_differ(run, clock):
    waits, begun = [], []

    def attempt(left):
        begun.append(clock.now)
        raise RateLimitedError("")

    for _ in range(20):
        begun.clear()
        with pytest.raises(RateLimitedError):
            run(RetryPolicy(1000, 6), attempt)
        waits.append([later - earlier for earlier, later in pairwise(begun)])
    most = [max(wait) for wait in zip(*waits, strict=True)]
    assert all(wait <= 0.5 * 2**i for i, wait in enumerate(most))
    assert most[5] > most[2] > most[0] > 0
    assert len({first for first, *_ in waits}) == 20


def test_nobody_comes_back_all_at_once_when_asked_to(run, clock):
    begun = []

    def attempt(left):
        begun.append(clock.now)
        raise RateLimitedError("", retry_after=5)

    for _ in range(5):
        with pytest.raises(RateLimitedError):
            run(RetryPolicy(100, 1), attempt)
    waits = [later - earlier for earlier, later in zip(begun[::2], begun[1::2], strict=True)]
    assert all(5 < wait <= 5.5 for wait in waits)
    assert len({round(wait, 9) for wait in waits}) == 5


@pytest.mark.parametrize("error", [DeadlineExceededError, KeyboardInterrupt, ValueError])
def test_other_errors_come_through_at_once(run, clock, error):
    tried = []

    def attempt(left):
        tried.append(left)
        raise error

    with pytest.raises(error):
        run(RetryPolicy(10, 3), attempt)
    assert len(tried) == 1
