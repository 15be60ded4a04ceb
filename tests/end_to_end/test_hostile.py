"""Generated bad requests against a real server; `python loadtest/hostile` sends 100,000 of them."""

import subprocess
import sys

import pytest

from tests.end_to_end.conftest import ROOT

pytestmark = pytest.mark.slow

REQUESTS = 20_000


def hostile(server, *arguments):
    command = [sys.executable, ROOT / "loadtest" / "hostile", "--http", server.url, "--grpc", server.grpc, *arguments]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=600)


def test_bad_requests_are_answered_properly_and_leave_the_service_as_it_was(serve, store):
    with serve(store) as server:
        log = server.temporary / "log"
        done = hostile(server, "--requests", REQUESTS, "--seed", 1, "--log", log)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{REQUESTS:,} inputs of 28 families" in done.stdout


def test_one_input_is_sent_again(server):
    done = hostile(server, "--only", "JSON, wrong values", "--index", 3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Exchange(data=b'POST /")
    assert "1 inputs of 1 families" in done.stdout


def test_what_is_wrong_is_named(server, tmp_path):
    log = tmp_path / "log"
    log.write_text("Traceback (most recent call last):\n", encoding="utf-8")
    done = hostile(server, "--only", "methods", "--index", 1, "--log", log)
    assert done.returncode == 1
    assert f"{log}, line 1: a traceback" in done.stdout


def test_no_service():
    done = subprocess.run(
        [sys.executable, ROOT / "loadtest" / "hostile", "--http", "http://127.0.0.1:1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
