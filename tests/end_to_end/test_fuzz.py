"""Generated bad requests against a real server."""

import re
import subprocess
import sys
from hashlib import sha256

import httpx
import pytest

from tests.harness import NIGHTLY, ROOT

pytestmark = pytest.mark.slow

REQUESTS = 100_000 if NIGHTLY else 2000
KEY = "right-key-of-this-test"


def fuzz(server, *arguments):
    command = [sys.executable, "-m", "loadtest.fuzz", "--http", server.url, "--grpc", server.grpc, *arguments]
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)


def test_bad_requests_are_answered_properly_and_leave_the_service_as_it_was(serve, store):
    with serve(store) as server:
        log = server.temporary / "log"
        done = fuzz(server, "--requests", REQUESTS, "--seed", 1, "--log", log)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{REQUESTS:,} inputs of 40 families" in done.stdout


def test_no_presented_key_does_harm_or_is_shown(serve, copied_store):
    keys = f"fuzz predict,feedback,read,metrics {sha256(KEY.encode()).hexdigest()}"
    with serve(copied_store, DRUGPRED_API_KEYS=keys, DRUGPRED_RATE_LIMIT="30/second") as server:
        shared = ("--log", server.temporary / "log", "--key", KEY)
        counts = {"JSON, bytes altered": 500, "keys": 500, "gRPC, bytes altered": 250, "gRPC, keys": 250}
        told = {}
        for family, count in counts.items():
            done = fuzz(server, "--only", family, "--requests", count, *shared)
            assert done.returncode == 0, done.stdout + done.stderr
            assert KEY not in done.stdout
            told[family] = done.stdout
        metrics = httpx.get(f"{server.url}/metrics", headers={"x-api-key": KEY}).text
    assert re.search(r" 400 \d.* 401 \d.* 429 \d", told["JSON, bytes altered"])
    assert re.search(r" 200 \d.* 401 \d.* 431 \d", told["keys"])
    assert re.search(r"RESOURCE_EXHAUSTED \d.* UNAUTHENTICATED \d", told["gRPC, bytes altered"])
    assert re.search(r" UNAUTHENTICATED \d", told["gRPC, keys"])
    for reason in ("missing", "unknown"):
        assert re.search(rf'drugpred_denied_total{{reason="{reason}"}} [1-9]', metrics)


def test_requests_accepted_without_the_key_are_reported(server):
    done = fuzz(server, "--only", "keys", "--requests", 50, "--key", KEY)
    assert done.returncode == 1
    assert re.search(r'--only "keys" --index \d+: 200 without the key', done.stdout)


def test_one_input_is_sent_again(server):
    done = fuzz(server, "--only", "JSON, wrong values", "--index", 3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Exchange(data=b'POST /")
    assert "1 inputs of 1 families" in done.stdout


def test_faults_are_named(server, tmp_path):
    log = tmp_path / "log"
    log.write_text("Traceback (most recent call last):\n", encoding="utf-8")
    done = fuzz(server, "--only", "methods", "--index", 1, "--log", log)
    assert done.returncode == 1
    assert f"{log}, line 1: a traceback" in done.stdout


def test_no_service():
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.fuzz", "--http", "http://127.0.0.1:1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
