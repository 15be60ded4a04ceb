"""Results of an attack, the limit of the server, and the requests of attacks."""

import subprocess
import sys
from dataclasses import replace

import pytest

from loadtest.resilience import callers, cgroup, under_attack


@pytest.fixture
def good():
    """An attack that nobody noticed."""
    answered = tuple(callers.Answered(kind, i / 20, 0.01, "") for kind in ("http", "grpc", "probe") for i in range(200))
    return under_attack.Outcome("nothing", 10, 0, answered, before=100.0, peak=400.0, after=129.0, killed=0)


def of_kind(outcome, kind, *, slow=0, seconds=0.01, failure=""):
    """Return the outcome with the first `n` requests of a kind slower, or failed."""
    first = [one for one in outcome.answered if one.kind == kind][:slow]
    others = [one for one in outcome.answered if one not in first]
    return replace(outcome, answered=(*others, *(one._replace(seconds=seconds, failure=failure) for one in first)))


def test_an_attack_that_nobody_noticed_misses_no_mark(good):
    assert under_attack.missed(good) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda one: of_kind(one, "http", slow=3, seconds=1.2), "HTTP p99 1.20 s, expected under 1.0 s"),
        (lambda one: of_kind(one, "grpc", slow=3, seconds=1.2), "gRPC p99 1.20 s, expected under 1.0 s"),
        (
            lambda one: of_kind(one, "http", slow=1, failure="503"),
            "1 HTTP requests failed (503 1), expected none",
        ),
        (
            lambda one: of_kind(one, "grpc", slow=2, failure="UNAVAILABLE"),
            "2 gRPC calls failed (UNAVAILABLE 2), expected none",
        ),
        (lambda one: of_kind(one, "probe", slow=1, failure="503"), "1 probes failed (503 1), expected none"),
        (lambda one: of_kind(one, "probe", slow=1, seconds=0.6), "/readyz after 0.60 s, expected at most 0.5 s"),
        (
            lambda one: replace(one, after=131.0),
            "memory is 1.31 times that before, expected at most 1.3 times after 60 s",
        ),
        (lambda one: replace(one, killed=1), "1 processes ended, expected none"),
        (lambda one: replace(one, stuck=True), "the server did not end within 30 s of SIGTERM"),
        (lambda one: replace(one, let_in=2), "2 of 10 requests were wrongly accepted, expected none"),
    ],
)
def test_each_mark_is_held(good, change, line):
    assert under_attack.missed(change(good)) == [line]


def test_one_slow_request_in_a_hundred_is_no_miss(good):
    assert under_attack.missed(of_kind(good, "http", slow=2, seconds=5.0)) == []


def test_the_table_has_a_line_for_each_attack(good):
    head, line, other = under_attack.table([good, replace(good, attack="streams")]).splitlines()
    assert len(head) == len(line) == len(other)
    assert line.split() == ["nothing", "10", "0.01", "0", "0.01", "0", "0.01", "0", "100", "400", "1.29", "0"]


def test_more_memory_than_the_limit_ends_a_process():
    with cgroup.limited(64, 1) as group:
        if group is None:
            pytest.skip("this user can make no control group")
        enough, too_much = (
            subprocess.run(group.command([sys.executable, "-c", f"bytearray({megabytes} << 20)"]), check=False)
            for megabytes in (10, 100)
        )
        assert (enough.returncode, too_much.returncode) == (0, -9)
        assert group.killed() == 1
    assert not any(folder.exists() for folder in group.folders)
