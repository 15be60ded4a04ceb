"""The load test and the benchmark run as the README says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_benchmark_prints_what_a_profile_costs(store):
    lines = run("loadtest/benchmark.py", BENTOML_HOME=str(store)).splitlines()
    costs = {name.strip(): float(cost) for name, cost in (line.rsplit(maxsplit=1) for line in lines[1:])}
    assert costs["encoded row -> 18 drugs x 6 windows"] > 0
    assert costs["validated profile -> 18 drugs x 6 windows"] > 0
