"""Workers killed under load lose only the requests that they had accepted."""

import os
import re
import subprocess
import sys

import pytest

from tests.harness import ROOT


@pytest.mark.slow
def test_kills_lose_only_requests_of_killed_workers(store):
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.resilience.chaos", "--kills", "3"],
        cwd=ROOT,
        env=os.environ | {"BENTOML_HOME": str(store)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills, answered = re.match(r"(\d+) kills, ([\d,]+) requests answered", done.stdout).groups()
    assert kills == "3"
    assert int(answered.replace(",", "")) > 300
    assert "lost otherwise: 0" in done.stdout
    assert "10 files of metrics" in done.stdout  # five for each worker, with any number of restarts
