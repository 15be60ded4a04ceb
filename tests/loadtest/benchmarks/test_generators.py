"""Load on a server: what load generators print, and turns of targets."""

import shutil
import socket

import pytest

from loadtest.benchmarks import generators
from tests.harness import skip

H2LOAD = """
finished in 5.00s, 2.00 req/s, 4.00KB/s
requests: 3 total, 3 started, 3 done, {succeeded} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: 3 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.10KB (1126) total, 366B (366) headers (space savings 50.00%), {data}B ({data}) data
"""
LOG = "1700000000000000\t200\t400\n1700000000000001\t200\t300\n1700000000000002\t200\t800\n"


def test_wrk_is_read():
    rate, milliseconds = generators.parse_wrk("Running 2s test @ http://127.0.0.1:3000\n\n4000 2000000 250.0 0\n")
    assert (rate, milliseconds) == (2000, 0.25)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("4000 2000000 250.0 7", "^7 requests failed, 4000 were answered$"),
        ("0 2000000 0.0 0", "^0 requests failed, 0 were answered$"),
    ],
)
def test_requests_that_fail_are_no_measurement(line, message):
    with pytest.raises(generators.LoadError, match=message):
        generators.parse_wrk(f"Running 2s test\n\n{line}\n")


def test_nobody_there_is_no_measurement():
    if shutil.which("wrk") is None:
        skip("no wrk to load servers with: apt-get install wrk")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(generators.LoadError, match=r"^wrk ended with 1: unable to connect"):
            generators.wrk(url, {}, clients=1, seconds=1)


def test_h2load_is_read():
    output = H2LOAD.format(succeeded=3, failed=0, data=3 * 105)
    assert generators.parse_h2load(output, LOG, 100) == [400, 300, 800]


@pytest.mark.parametrize(
    ("output", "log"),
    [
        (H2LOAD.format(succeeded=3, failed=0, data=2 * 105), LOG),  # of one came a status alone
        (H2LOAD.format(succeeded=2, failed=1, data=3 * 105), LOG),
        (H2LOAD.format(succeeded=3, failed=0, data=3 * 105), ""),
        ("", LOG),
    ],
)
def test_calls_that_fail_are_no_measurement(output, log):
    with pytest.raises(generators.LoadError, match=r"^calls failed; h2load counted (requests: 3 total|none)"):
        generators.parse_h2load(output, log, 100)


def test_targets_take_turns_after_a_second_to_warm_up():
    asked, failures = [], []

    def target(title):
        def measure(clients, seconds):
            asked.append((title, clients, seconds))
            return generators.Measured(len(asked), 1, 1)

        return measure

    found = generators.measure({title: target(title) for title in "ab"}, (1, 32), 5, failures, rounds=2)
    assert asked == [(title, *load) for load in [(1, 1), *[(1, 5)] * 2, *[(32, 5)] * 2] for title in "ab"]
    assert [[one.rate for one in column["b"]] for column in found] == [[4, 6], [8, 10]]
    assert failures == []


def test_a_target_that_fails_is_named_and_the_others_continue():
    left, failures = [2], []

    def failing(clients, seconds):
        if not left:
            raise generators.LoadError("7 requests failed, 4000 were answered")
        left.pop()
        return generators.Measured(1, 1, 1)

    (found,) = generators.measure({"a": failing, "b": lambda *_: generators.Measured(1, 1, 1)}, (32,), 5, failures)
    assert list(found) == ["b"]
    assert len(found["b"]) == 3
    assert failures == ["a, 32 clients: 7 requests failed, 4000 were answered"]
