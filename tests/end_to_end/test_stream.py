"""The measurement of the stream runs as the README says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_stream_is_measured(server):
    report = run("loadtest/stream.py", server.grpc)
    assert re.fullmatch(r"[\d,]+ profiles/s, [1-9]\d* chunks of 1000 in \d+\.\d s\n", report)
