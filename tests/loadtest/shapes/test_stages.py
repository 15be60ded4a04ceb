"""Shapes of load: how many users there are, second by second."""

import time
from argparse import Namespace
from importlib import import_module

import pytest

SHAPES = {"steady": "Steady", "ramp": "Ramp", "spike": "Spike", "soak": "Soak"}


@pytest.fixture
def users(monkeypatch):
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # it would patch the whole process for gevent

    def count(name, seconds, **options):
        """Return the number of users after each of some seconds."""
        shape = getattr(import_module(f"loadtest.shapes.{name}"), SHAPES[name])()
        options = {"num_users": None, "run_time": None} | options
        shape.runner = Namespace(environment=Namespace(parsed_options=Namespace(**options)))
        counts = []
        for second in seconds:
            shape.start_time = time.perf_counter() - second - 0.01
            tick = shape.tick()
            counts.append(tick and tick[0])
            assert not tick or tick[1] == min(tick[0], 100)
        return counts

    return count


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("steady", [40] * 10),
        ("soak", [40] * 10),
        ("ramp", [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]),
        ("spike", [4, 4, 4, 4, 40, 40, 4, 4, 4, 4]),
    ],
)
def test_users_and_time_are_those_of_locusts_options(users, name, expected):
    assert users(name, range(12), num_users=40, run_time=10) == [*expected, None, None]


@pytest.mark.parametrize(
    ("name", "seconds", "most"), [("steady", 60, 50), ("ramp", 120, 200), ("spike", 120, 200), ("soak", 3600, 25)]
)
def test_without_options_the_load_ends_all_the_same(users, name, seconds, most):
    counts = users(name, [*range(seconds), seconds])
    assert counts[-1] is None
    assert max(counts[:-1]) == most


def test_there_is_somebody_at_all_times(users):
    assert users("spike", range(10), num_users=1, run_time=10) == [1] * 10
