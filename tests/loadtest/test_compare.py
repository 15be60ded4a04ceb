"""The comparison with peers: what is read, said and reported, and once all of it."""

import os
import re
import shutil
import socket
import subprocess
import sys
from importlib import import_module

import pytest

from drugpred.errors import StoredModelError
from tests.conftest import ROOT, skip

H2LOAD = """
finished in 5.00s, 2.00 req/s, 4.00KB/s
requests: 3 total, 3 started, 3 done, {succeeded} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: 3 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.10KB (1126) total, 366B (366) headers (space savings 50.00%), {data}B ({data}) data
"""
LOG = "1700000000000000\t200\t400\n1700000000000001\t200\t300\n1700000000000002\t200\t800\n"


@pytest.fixture
def compare(module):
    return module("compare")


@pytest.fixture
def load(compare):
    return import_module("load")


@pytest.fixture
def figures(compare):
    return import_module("figures")


@pytest.fixture
def rounds(load):
    """Return what makes rounds out of rates."""
    return lambda *rates: [load.Measured(rate, 1000 / rate, 0.5) for rate in rates]


def test_wrk_is_read(load):
    rate, milliseconds = load.said_by_wrk("Running 2s test @ http://127.0.0.1:3000\n\n4000 2000000 250.0 0\n")
    assert (rate, milliseconds) == (2000, 0.25)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("4000 2000000 250.0 7", "^7 requests failed, 4000 were answered$"),
        ("0 2000000 0.0 0", "^0 requests failed, 0 were answered$"),
    ],
)
def test_requests_that_fail_are_no_measurement(load, line, told):
    with pytest.raises(load.LoadError, match=told):
        load.said_by_wrk(f"Running 2s test\n\n{line}\n")


def test_nobody_there_is_no_measurement(load, tmp_path):
    if shutil.which("wrk") is None:
        skip("no wrk to load servers with: apt-get install wrk")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(load.LoadError, match=r"^wrk ended with 1: unable to connect"):
            load.wrk(url, {}, tmp_path, clients=1, seconds=1)


def test_h2load_is_read(load):
    said = H2LOAD.format(succeeded=3, failed=0, data=3 * 105)
    assert load.said_by_h2load(said, LOG, 100) == [400, 300, 800]


@pytest.mark.parametrize(
    ("said", "log"),
    [
        (H2LOAD.format(succeeded=3, failed=0, data=2 * 105), LOG),  # of one came a status alone
        (H2LOAD.format(succeeded=2, failed=1, data=3 * 105), LOG),
        (H2LOAD.format(succeeded=3, failed=0, data=3 * 105), ""),
        ("", LOG),
    ],
)
def test_calls_that_fail_are_no_measurement(load, said, log):
    with pytest.raises(load.LoadError, match=r"^calls failed; h2load counted (requests: 3 total|none)"):
        load.said_by_h2load(said, log, 100)


def test_ratios_are_those_within_the_rounds(figures, rounds):
    # the second round was disturbed for both alike
    results = {"this": rounds(20, 10, 20), "that": rounds(10, 5, 8)}
    told = figures.table(["this", "that"], {"1 client": results}, "that", figures.REQUESTS)
    heading, names, *rows = told.splitlines()
    assert heading.split() == ["1", "client"]
    assert names.split() == ["requests/s", "p50", "ms", "ratio"]
    assert [row.split() for row in rows] == [["this", "20", "50.00", "2.00"], ["that", "8", "125.00", "1.00"]]
    assert len({len(line) for line in told.splitlines()}) == 1


def test_who_fails_has_dashes_there_alone(figures, rounds):
    columns = {"1 client": {"this": rounds(20), "that": rounds(10)}, "32 clients": {"that": rounds(10)}}
    rows = figures.table(["this", "that", "gone"], columns, "that", figures.REQUESTS).splitlines()[2:]
    assert rows[0].split() == ["this", "20", "50.00", "2.00", "-", "-", "-"]
    assert rows[2].split() == ["gone", *"------"]


def test_without_the_measure_there_are_no_ratios(figures, rounds):
    rows = figures.table(["this"], {"1 client": {"this": rounds(20)}}, "that", figures.REQUESTS).splitlines()[2:]
    assert rows[0].split() == ["this", "20", "50.00", "-"]


def test_batches_count_profiles(figures, rounds):
    rows = figures.table(["this"], {"1 client": {"this": rounds(20)}}, "", figures.BATCHES).splitlines()[1:]
    assert [row.split() for row in rows] == [["profiles/s", "p50", "ms"], ["this", "20000", "50.00"]]


def test_contestants_take_turns_after_a_second_to_warm_up(compare, load):
    asked, failures = [], []

    def contestant(title):
        def measure(clients, seconds):
            asked.append((title, clients, seconds))
            return load.Measured(len(asked), 1, 1)

        return measure

    found = compare.measured({title: contestant(title) for title in "ab"}, 32, 5, failures)
    assert asked == [("a", 32, 1), ("b", 32, 1)] + [("a", 32, 5), ("b", 32, 5)] * 3
    assert [one.rate for one in found["b"]] == [4, 6, 8]
    assert failures == []


def test_a_contestant_that_fails_is_told_and_the_others_go_on(compare, load):
    left, failures = [2], []

    def failing(clients, seconds):
        if not left:
            raise load.LoadError("7 requests failed, 4000 were answered")
        left.pop()
        return load.Measured(1, 1, 1)

    found = compare.measured({"a": failing, "b": lambda *_: load.Measured(1, 1, 1)}, 32, 5, failures)
    assert list(found) == ["b"]
    assert len(found["b"]) == 3
    assert failures == ["a, 32 clients: 7 requests failed, 4000 were answered"]


@pytest.mark.parametrize("other", [[0.5, 0.25 + 2e-9], [0.5], []])
def test_who_gives_other_probabilities_is_told_and_left_out(compare, other):
    contestants, failures = import_module("contestants"), []
    ours = contestants.Contestant("drugpred, HTTP", None, [0.5, 0.25])
    close = contestants.Contestant("close", None, [0.5, 0.25 + 1e-10])
    off = contestants.Contestant("off", None, other)
    assert contestants.agreeing([ours, off, close], failures) == [ours, close]
    assert failures == ["off: it gives other probabilities than drugpred, HTTP"]


def test_what_was_not_measured_is_printed_and_the_exit_code_tells(compare, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare.py"])
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    monkeypatch.setattr(compare, "compare", lambda peers, seconds: ["MLServer, pipeline: no environment: why"])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    assert ended.value.code == 1
    assert capsys.readouterr().out == "\nNot measured:\nMLServer, pipeline: no environment: why\n"


def test_without_a_model_it_says_so(compare, monkeypatch):
    def missing(peers, seconds):
        raise StoredModelError("no model drug_consumption in the BentoML model store; run `python train.py` first")

    monkeypatch.setattr(sys, "argv", ["compare.py"])
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    monkeypatch.setattr(compare, "compare", missing)
    with pytest.raises(SystemExit, match=r"^error: no model drug_consumption in the BentoML model store"):
        compare.main()


def test_without_load_generators_it_says_what_to_install(compare, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["compare.py"])
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(SystemExit, match=r"^install h2load and wrk first"):
        compare.main()


def test_an_unknown_peer_is_refused(compare, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare.py", "--peers", "flask"])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    assert ended.value.code == 2
    assert "no peer flask; expected fastapi_scorer, fastapi_pipeline," in capsys.readouterr().err


@pytest.mark.slow
def test_every_contestant_answers_without_an_error(store):
    # it exits with 1 where a request failed, or where contestants differ in what they say
    if not (shutil.which("h2load") and shutil.which("wrk")):
        skip("no h2load and wrk to load servers with: apt-get install nghttp2-client wrk")
    done = subprocess.run(
        [sys.executable, "loadtest/compare.py", "--seconds", "1", "--peers", "fastapi_pipeline"],
        cwd=ROOT,
        env=os.environ | {"BENTOML_HOME": str(store)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {
        title: [float(figure) for figure in row.split()]
        for title, row in re.findall(r"^(\S.*?)  +([\d. ]+)$", done.stdout, re.MULTILINE)
    }
    assert {title: len(row) for title, row in rows.items()} == {
        "drugpred, HTTP": 9,
        "drugpred, gRPC": 9,
        "FastAPI, our predictor": 9,
        "FastAPI, pipeline": 9,
        "18 drugs": 4,
        "1 drug": 4,
        "1 worker": 8,
        "2 workers": 8,
        "open": 9,
        "keys and limit": 9,
    }
    assert all(figure > 0 for row in rows.values() for figure in row)
    assert rows["FastAPI, our predictor"][2::3] == [1, 1, 1]
    assert rows["1 worker"][2::4] == [1, 1]
