"""The soak as a command, for as long as CI can wait; a real soak needs `--minutes 60`."""

import os
import subprocess
import sys

import pytest

from tests.harness import ROOT

pytestmark = pytest.mark.slow


def test_nothing_grows(copied_store):
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.benchmarks.soak", "--minutes", "1.5"],
        cwd=ROOT,
        env=os.environ | {"BENTOML_HOME": str(copied_store)},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    measured = {line[10:22].strip() for line in done.stdout.splitlines()[1:]}
    assert measured == {"RSS MB", "USS MB", "open files", "connections", "threads", "disk MB"}


def test_too_short():
    command = [sys.executable, "-m", "loadtest.benchmarks.soak", "--minutes", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "expected at least 1.5 minutes" in done.stderr
