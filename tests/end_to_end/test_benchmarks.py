"""Benchmarks run as the README says."""

import itertools
import os
import re
import subprocess
import sys

import pytest

from loadtest.benchmarks import bulk, bulk_peers
from tests.harness import ROOT


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_benchmark_prints_the_cost_of_a_profile(store):
    short = "from loadtest.benchmarks import micro; micro._SECONDS, micro.PROFILES = 0.001, 64; micro.main()"
    lines = run("-c", short, BENTOML_HOME=str(store)).splitlines()
    costs = {name.strip(): float(cost) for name, cost in (line.rsplit(maxsplit=1) for line in lines[1:])}
    assert costs["encoded row -> 18 drugs x 6 windows"] > 0
    assert costs["validated profile -> 18 drugs x 6 windows"] > 0


@pytest.mark.slow
def test_the_stream_is_measured(server):
    report = run("-m", "loadtest.benchmarks.stream", server.grpc)
    assert re.fullmatch(r"[\d,]+ profiles/s, [1-9]\d* chunks of 1000 in \d+\.\d s\n", report)


@pytest.mark.slow
def test_every_command_scores_rows_in_bulk(store, tmp_path, monkeypatch):
    monkeypatch.setenv("BENTOML_HOME", str(store))
    bulk_peers.people(1000, tmp_path / "1000.parquet")
    for title, command in bulk.commands(2).items():
        assert bulk.score(command, tmp_path, 1000).memory > 10, title


def test_the_speeds_of_all_commands_are_printed(monkeypatch, capsys):
    """Without running them."""
    seconds = itertools.count(1)
    monkeypatch.setattr(bulk, "measure", lambda _: bulk.Usage(next(seconds), 1 + next(seconds), 100))
    monkeypatch.setattr(sys, "argv", ["bulk", "--rows", "1000", "20000", "--rounds", "1"])
    bulk.main()
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["fixed", "s", "rows/s", "ratio", "rows/CPU", "s", "ratio", "peak", "MB"]
    assert {line[:32].strip() for line in lines} >= {"drugpred score, 1 core", "polars, copy", "polars, sums"}
    assert all(line.endswith(" 100") for line in lines)
