"""What the soak makes of its readings."""

import subprocess

import pytest

from loadtest.benchmarks import soak
from loadtest.benchmarks.generators import LoadError


def readings(value, what="USS MB", pid=1, n=90):
    return [soak.Sample(pid, i / 1000, {what: float(value(i))}) for i in range(n)]


@pytest.mark.parametrize(
    ("what", "value", "leaks"),
    [
        ("USS MB", lambda i: 100 + i % 3, False),
        ("USS MB", lambda i: 50 + min(i, 30), False),  # until all is warm
        ("USS MB", lambda i: 100 + 50 * (i == 80), False),
        ("USS MB", lambda i: 100 + 0.05 * i, False),
        ("USS MB", lambda i: 100 + 0.2 * i, True),
        ("USS MB", lambda i: 300 + 0.2 * i, False),  # 2 %
        ("RSS MB", lambda i: 100 + i, False),
        ("disk MB", lambda i: 100 + i, False),
        ("open files", lambda i: 30 + 10 * (i % 10 == 0), False),
        ("open files", lambda i: 30 + i, True),
        ("connections", lambda i: i, True),
        ("threads", lambda i: 10 + i // 2, True),
    ],
)
def test_growth_after_the_warm_up_is_a_leak(what, value, leaks):
    (growth,) = soak.growths(readings(value, what))
    assert growth.is_leak == leaks
    assert bool(soak.wrong([growth])) == leaks


def test_growth_per_hour():
    (growth,) = soak.growths(readings(lambda i: 100 + 0.2 * i))
    assert growth.per_hour == pytest.approx(200)
    assert (growth.second, growth.last) == pytest.approx((108.9, 114.9), abs=0.2)


def test_workers_are_distinguished():
    found = soak.growths(readings(lambda i: 100) + readings(lambda i: i, pid=2))
    assert [(growth.pid, growth.is_leak) for growth in found] == [(1, False), (2, True)]
    assert soak.wrong(found) == ["worker 2: USS MB grew from 44.5 to 74.5"]
    assert len(soak.table(found).splitlines()) == 3


@pytest.mark.parametrize(
    "error", [LoadError("seed 1"), subprocess.TimeoutExpired("locust", 60), KeyError("prediction_id")], ids=repr
)
def test_a_client_that_ends_early_is_a_failure(error):
    def drive(_ended):
        raise error

    failures = []
    with soak._running("requests", failures, drive):
        pass
    assert failures == [f"requests: {error}"]
