"""The smoke test of a deployed service, run against a real one."""

import json
import os
import subprocess
import sys
from hashlib import sha256

import pytest

from drugpred import model_store
from tests.harness import ROOT
from tests.harness.ports import free_ports
from tests.harness.prometheus import exposition
from tests.harness.store import using

COMMAND = ROOT / "configs" / "deploy" / "smoke.py"
CHECKS = ["ready", "health", "model", "prediction", "batch", "refusal", "documentation", "metrics"]
KEY = "a key for the smoke test"


def smoke(http: str, grpc: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, COMMAND, http, grpc]
    environment = os.environ | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def outcomes(done: subprocess.CompletedProcess) -> dict[str, str]:
    assert done.stderr == ""
    return {line.split()[1].rstrip(":"): line.split()[0] for line in done.stdout.splitlines()}


@pytest.mark.slow
def test_a_service_that_is_well_passes(server):
    done = smoke(server.url, f"grpc://{server.grpc}")
    assert outcomes(done) == dict.fromkeys(CHECKS, "ok"), done.stdout
    assert done.returncode == 0
    assert "data source uci" in done.stdout


@pytest.fixture
def simulated_store(stored_model, copied_store):
    """A BENTOML_HOME whose newest model says it was trained on simulated respondents."""
    card = stored_model.card.model_copy(
        update={"data": stored_model.card.data.model_copy(update={"source": "simulated"})}
    )
    arrays = [(stored_model.path / name).read_bytes() for name in ("network.npz", "background.npy", "uncertainty.npz")]
    with using(copied_store):
        model_store.write(b"pipeline", *arrays, card, {"index.html": b"report"})
    return copied_store


@pytest.mark.slow
def test_a_model_of_simulated_respondents_fails_and_a_key_comes_from_the_environment(serve, simulated_store):
    keys = f"smoke predict,read,metrics {sha256(KEY.encode()).hexdigest()}"
    with serve(simulated_store, DRUGPRED_API_KEYS=keys) as server:
        done = smoke(server.url, f"grpc://{server.grpc}", SMOKE_API_KEY=KEY)
        without = smoke(server.url, f"grpc://{server.grpc}")
    assert (done.returncode, without.returncode) == (1, 1)
    failed, shut = ([name for name, said in outcomes(each).items() if said == "FAILED"] for each in (done, without))
    assert failed == ["health", "model"], done.stdout
    assert KEY not in done.stdout
    assert shut == ["health", "model", "prediction", "batch", "refusal", "metrics"]


@pytest.mark.slow
def test_without_a_service_every_check_fails():
    http, grpc = free_ports(2)
    done = smoke(f"http://127.0.0.1:{http}", f"grpc://127.0.0.1:{grpc}")
    assert (done.returncode, outcomes(done)) == (1, dict.fromkeys(CHECKS, "FAILED"))


def test_something_else_that_answers_fails():
    (grpc,) = free_ports(1)
    with exposition(lambda: json.dumps({"status": "ok"})) as other:
        done = smoke(f"http://{other.address}", f"grpc://127.0.0.1:{grpc}")
    assert (done.returncode, outcomes(done)) == (1, dict.fromkeys(CHECKS, "FAILED"))
