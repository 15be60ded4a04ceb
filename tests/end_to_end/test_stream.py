"""The comparison with peers and the measurement of the stream run as the README says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import skip

ROOT = Path(__file__).parents[2]


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_contestant_answers_without_an_error(store):
    # it exits with 1 where a request failed, or where contestants differ in what they say
    if not (shutil.which("h2load") and shutil.which("wrk")):
        skip("no h2load and wrk to load servers with: apt-get install nghttp2-client wrk")
    report = run("loadtest/compare.py", "--seconds", "1", BENTOML_HOME=str(store))
    rows = dict(re.findall(r"^(\S.*?)  +([\d. ]+)$", report, re.MULTILINE))
    assert list(rows) == ["drugpred, HTTP", "drugpred, gRPC", "FastAPI, our predictor"]
    for row in rows.values():
        figures = [float(figure) for figure in row.split()]
        assert len(figures) == 9
        assert min(figures) > 0
    assert [float(figure) for figure in rows["FastAPI, our predictor"].split()][2::3] == [1, 1, 1]


def test_the_stream_is_measured(server):
    report = run("loadtest/stream.py", server.grpc)
    assert re.fullmatch(r"[\d,]+ profiles/s, [1-9]\d* chunks of 1000 in \d+\.\d s\n", report)
