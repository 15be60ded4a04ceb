"""Real containers behind the real edge: replaced one by one under load over TLS, and rolled back to another model."""

import ssl
import subprocess
import threading
import time

import grpc
import httpx
import pytest

from drugpred.schemas import EXAMPLE
from drugpred.serving.proto.drugpred.v1 import drug_prediction_pb2, drug_prediction_pb2_grpc
from tests.deployment import deployed
from tests.end_to_end.test_model_life import NEWER, run

pytestmark = pytest.mark.slow

PORT = 8443


@pytest.fixture(scope="module")
def deployment(podman, image, tmp_path_factory):
    with deployed(podman, image, tmp_path_factory.mktemp("deployment"), "edge", "drugpred", "redis") as deployment:
        yield deployment


class Load:
    """Callers over HTTPS and gRPC, each with a connection that it keeps, who ask until they are told to end."""

    def __init__(self, deployment, callers=3):
        self.failures, self.answered, self.slowest = [], {"http": 0, "grpc": 0}, 0.0
        self.models = set()
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.key = {"authorization": f"Bearer {deployment.key}"}
        self.certificate = deployment.certificate
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
        with httpx.Client(base_url=f"https://localhost:{PORT}", verify=context, headers=self.key, timeout=30) as client:

            def ask():
                answer = client.post("/predict", json=EXAMPLE)
                assert answer.status_code == 200, answer.text
                self.models.add(answer.json()["model"])

            self.repeat("http", ask)

    def ask_grpc(self):
        credentials = grpc.ssl_channel_credentials(self.certificate.read_bytes())
        with grpc.secure_channel(f"localhost:{PORT}", credentials) as channel:
            stub = drug_prediction_pb2_grpc.DrugPredictionStub(channel)
            request = drug_prediction_pb2.GetModelRequest()
            metadata = list(self.key.items())
            self.repeat("grpc", lambda: stub.GetModel(request, timeout=30, metadata=metadata))

    def repeat(self, name, ask):
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                ask()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a request that failed
                self.failures.append(f"{name}: {error!r}")
            with self.lock:
                self.answered[name] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            time.sleep(0.005)


def test_replicas_are_replaced_under_load_without_a_failed_request(deployment):
    before = deployment.replicas()
    with Load(deployment) as load:
        time.sleep(2)
        began = time.monotonic()
        deployment.run("sh", "configs/deploy/roll.sh")
        took = time.monotonic() - began
        time.sleep(2)
    figures = f"{load.answered} asked, {len(load.failures)} failed, the slowest took {load.slowest:.2f} s"
    print(f"two replicas replaced in {took:.1f} s: {figures}")  # noqa: T201 - shown where it fails or with -s
    after = deployment.replicas()
    assert len(after) == len(before) == 2
    assert not set(before) & set(after)
    assert load.failures == [], load.failures[:5]
    assert min(load.answered.values()) > 100


def test_a_model_is_rolled_back_to_by_one_command(deployment, store, bundle, tmp_path):
    home = tmp_path / "staging"
    subprocess.run(["cp", "-r", store, home], check=True)
    other = run(home, "-c", NEWER)
    archive = tmp_path / "model.bentomodel"
    run(home, "-m", "bentoml", "models", "export", other, archive)
    run(deployment.deploy / "bentoml", "-m", "bentoml", "models", "import", archive)
    subprocess.run(["chmod", "-R", "a+rX", deployment.deploy / "bentoml" / "models"], check=True)
    with Load(deployment) as load:
        time.sleep(1)
        began = time.monotonic()
        deployment.run("sh", "configs/deploy/roll.sh", other)
        took = time.monotonic() - began
        load.models.clear()
        time.sleep(2)
    figures = f"{load.answered} asked, {len(load.failures)} failed"
    print(f"another model served after {took:.1f} s: {figures}")  # noqa: T201 - shown where it fails or with -s
    assert load.failures == [], load.failures[:5]
    assert load.models == {other} != {bundle.tag}
    assert took < 60
    assert f"DRUGPRED_MODEL={other}\n" in (deployment.deploy / ".env").read_text("utf-8")


def test_a_model_that_is_not_there_changes_nothing(deployment):
    before = deployment.replicas()
    printed = deployment.run("sh", "configs/deploy/roll.sh", "drug_consumption:nowhere", check=False)
    assert "no model drug_consumption:nowhere in the BentoML model store" in printed
    assert deployment.replicas() == before
