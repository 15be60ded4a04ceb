"""The soak, for as long as CI can wait; a real soak needs `--minutes 60`."""

import subprocess
import sys

import pytest

from loadtest.benchmarks import soak
from tests.harness import ROOT
from tests.harness.store import using

pytestmark = pytest.mark.slow


def test_nothing_grows(store, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["soak.py", "--minutes", "1.5"])
    monkeypatch.setattr(soak, "USERS", "5")  # half as many: other tests run at the same time
    with using(store):
        soak.main()
    measured = {line[10:22].strip() for line in capsys.readouterr().out.splitlines()[1:]}
    assert measured == {"RSS MB", "USS MB", "open files", "connections", "threads", "disk MB"}


def test_too_short():
    command = [sys.executable, "-m", "loadtest.benchmarks.soak", "--minutes", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "expected at least 1.5 minutes" in done.stderr
