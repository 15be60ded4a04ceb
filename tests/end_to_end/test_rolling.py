"""Real containers behind the real edge: replaced under load over TLS by others with a newer model, and rolled back."""

import ssl
import subprocess
import threading
import time

import grpc
import httpx
import pytest

from drugpred.client import converters
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.schemas import EXAMPLE, Profile
from tests.end_to_end.test_model_life import run
from tests.harness import wait
from tests.harness.compose import deployed
from tests.harness.store import NEWER

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def deployment(podman, image, tmp_path_factory):
    with deployed(podman, image, tmp_path_factory.mktemp("deployment"), "edge", "drugpred", "redis") as deployment:
        wait_until_ready(deployment)
        yield deployment


def wait_until_ready(deployment):
    context = ssl.create_default_context(cafile=deployment.certificate)

    def ready():
        try:
            return httpx.get(f"{deployment.url}/readyz", verify=context, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    wait(ready, "the edge to be ready")


class Load:
    """Callers over HTTPS and gRPC, each with a kept connection, that send requests until they are stopped."""

    def __init__(self, deployment, callers=3):
        self.failures, self.asked, self.slowest = [], {"http": 0, "grpc": 0}, 0.0
        self.models = set()
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.key = {"authorization": f"Bearer {deployment.key}"}
        self.certificate, self.url, self.port = deployment.certificate, deployment.url, deployment.port
        self.threads = [threading.Thread(target=ask) for ask in (self.ask_http, self.ask_grpc) for _ in range(callers)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def ask_http(self):
        context = ssl.create_default_context(cafile=self.certificate)
        with httpx.Client(base_url=self.url, verify=context, headers=self.key, timeout=30) as client:

            def ask():
                answer = client.post("/predict", json=EXAMPLE)
                assert answer.status_code == 200, answer.text
                self.models.add(answer.json()["model"])

            self.repeat("http", ask)

    def ask_grpc(self):
        credentials = grpc.ssl_channel_credentials(self.certificate.read_bytes())
        with grpc.secure_channel(f"localhost:{self.port}", credentials) as channel:
            stub = pb_grpc.DrugPredictionStub(channel)
            request = pb.PredictRequest(profile=converters.profile(Profile(**EXAMPLE)))
            metadata = list(self.key.items())

            def ask():
                self.models.add(stub.Predict(request, timeout=30, metadata=metadata).prediction.model)

            self.repeat("grpc", ask)

    def repeat(self, name, ask):
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                ask()
            except Exception as error:  # noqa: BLE001 - any exception is a failed request
                self.failures.append(f"{name}: {error!r}")
            with self.lock:
                self.asked[name] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            time.sleep(0.02)


@pytest.fixture(scope="module")
def newer(deployment, store, tmp_path_factory):
    """A model that is promoted to the deployment, in addition to the one in its image."""
    home = tmp_path_factory.mktemp("staging") / "home"
    subprocess.run(["cp", "-r", store, home], check=True)
    tag = run(home, "-c", NEWER)
    archive = home / "model.bentomodel"
    run(home, "-m", "bentoml", "models", "export", tag, archive)
    run(deployment.deploy / "bentoml", "-m", "bentoml", "models", "import", archive)
    subprocess.run(["chmod", "-R", "a+rX", deployment.deploy / "bentoml" / "models"], check=True)
    return tag


@pytest.fixture
def roll(deployment, capfd):
    """Replace both replicas under load by others that serve a model, and say how it went."""

    def rolling(model):
        before = deployment.replicas()
        with Load(deployment) as load:
            time.sleep(2)
            began = time.monotonic()
            printed = deployment.run("sh", "configs/deploy/roll.sh", model)
            took = time.monotonic() - began
            former, load.models = load.models, set()
            time.sleep(2)
        asked = " and ".join(f"{number} by {protocol}" for protocol, number in load.asked.items())
        with capfd.disabled():
            print(  # noqa: T201 - the figures are the purpose of the test
                f"\n{model} served by two new replicas after {took:.1f} s: {asked} asked over TLS,"
                f" {len(load.failures)} failed, the slowest took {load.slowest:.2f} s\n{printed}"
            )
        after = deployment.replicas()
        assert len(before) == len(after) == 2
        assert not set(before) & set(after)
        assert load.failures == [], f"{load.failures[:5]}\n{deployment.compose('logs', '--tail=60', 'edge')}"
        assert min(load.asked.values()) > 300
        assert model in former
        assert load.models == {model}

    return rolling


def test_replicas_are_replaced_under_load_without_a_failed_request(roll, newer):
    roll(newer)


def test_a_model_is_rolled_back_to_by_one_command(roll, newer, deployment, stored_model):
    roll(stored_model.tag)
    assert f"DRUGPRED_MODEL={stored_model.tag}\n" in (deployment.deploy / ".env").read_text("utf-8")


def test_the_edge_takes_a_certificate_under_load_without_a_failed_request(deployment, capfd):
    with Load(deployment) as load:
        for _ in range(3):
            time.sleep(2)
            deployment.compose("kill", "-s", "USR2", "edge")
        time.sleep(2)
    with capfd.disabled():
        print(f"\nthe edge reloaded three times: {load.asked} asked, {len(load.failures)} failed")  # noqa: T201 - a figure
    assert load.failures == [], load.failures[:5]


def test_a_model_that_is_not_there_changes_nothing(deployment):
    before = deployment.replicas()
    printed = deployment.run("sh", "configs/deploy/roll.sh", "drug_consumption:nowhere", check=False)
    assert "no model drug_consumption:nowhere in the BentoML model store" in printed
    assert deployment.replicas() == before
