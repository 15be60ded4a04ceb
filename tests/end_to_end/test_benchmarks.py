"""Benchmarks run as the README says."""

import os
import re
import subprocess
import sys

import pytest

from tests.harness import ROOT


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
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
    lines = run("loadtest.benchmarks.micro", BENTOML_HOME=str(store)).splitlines()
    costs = {name.strip(): float(cost) for name, cost in (line.rsplit(maxsplit=1) for line in lines[1:])}
    assert costs["encoded row -> 18 drugs x 6 windows"] > 0
    assert costs["validated profile -> 18 drugs x 6 windows"] > 0


@pytest.mark.slow
def test_the_stream_is_measured(server):
    report = run("loadtest.benchmarks.stream", server.grpc)
    assert re.fullmatch(r"[\d,]+ profiles/s, [1-9]\d* chunks of 1000 in \d+\.\d s\n", report)


@pytest.mark.slow
def test_rows_are_scored_in_bulk(store):
    rows = ["--rows", "1000", "20000", "--rounds", "1"]
    heading, *lines = run("loadtest.benchmarks.bulk", *rows, BENTOML_HOME=str(store)).splitlines()
    assert heading.split() == ["fixed", "s", "rows/s", "ratio", "rows/CPU", "s", "ratio", "peak", "MB"]
    assert {line[:32].strip() for line in lines} >= {"drugpred score, 1 core", "polars, copy", "polars, sums"}
    assert all(float(line.split()[-1]) > 10 for line in lines)
