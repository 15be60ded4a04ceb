"""Access to real servers over HTTP and gRPC, with a real Redis."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256

import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from drugpred import __version__
from drugpred.client import Client
from drugpred.errors import PermissionDeniedError, RateLimitedError
from drugpred.monitoring.feedback.prediction_id import new_key
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.schemas import EXAMPLE
from tests.harness.redis import running

pytestmark = pytest.mark.slow


def line(name, scopes, key):
    return f"{name} {scopes} {sha256(key.encode()).hexdigest()}\n"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(
        line("alice", "predict,read,feedback", "alice-key")
        + line("bob", "predict", "bob-key")
        + line("monitor", "metrics", "monitor-key")
    )
    return file


@pytest.fixture(scope="module")
def keyed(serve, store, keys):
    with serve(store, DRUGPRED_API_KEYS_FILE=str(keys), DRUGPRED_RATE_LIMIT="1000/hour") as server:
        yield server


def clients(server, **options):
    return [Client(url, retries=0, **options) for url in (server.url, f"grpc://{server.grpc}")]


def chunk():
    return [np.array([[1, 0, 6, 5, 6, 0.31, -0.58, 1.24, -0.30, -0.14, 0.53, 0.77]])]


def test_a_key_opens_both_transports(keyed):
    answers = []
    for client in clients(keyed, key="alice-key"):
        with client:
            answers.append(client.predict(EXAMPLE).risks)
            assert len(client.predict_batch([EXAMPLE])) == 1
            assert len(list(client.stream(chunk()))) == 1
            assert client.model().measures
    assert answers[0] == answers[1]


@pytest.mark.parametrize("key", [None, "alice-kex", "monitor-key"])
def test_without_the_right_key_nothing_is_shown(keyed, key):
    for client in clients(keyed, key=key):
        with client:
            for call in (
                lambda client=client: client.predict(EXAMPLE),
                lambda client=client: client.predict_batch([EXAMPLE]),
                lambda client=client: list(client.stream(chunk())),
                lambda client=client: client.model(),
            ):
                with pytest.raises(PermissionDeniedError):
                    call()
            assert client.health()


@pytest.mark.parametrize("key", [None, "alice-kex", "monitor-key"])
def test_without_the_scope_health_says_only_that_it_is_up(keyed, key):
    with keyed.client() as http:
        answer = http.get("/health", headers={} if key is None else {"x-api-key": key})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_with_the_scope_health_has_the_model(keyed, stored_model):
    with keyed.client() as http:
        answer = http.get("/health", headers={"x-api-key": "alice-key"}).json()
    assert (answer["model"], answer["version"], answer["data_source"]) == (stored_model.tag, __version__, "uci")


def test_each_refusal_has_its_code(keyed):
    with grpc.insecure_channel(keyed.grpc) as channel:
        predict = pb_grpc.DrugPredictionStub(channel).Predict
        for metadata, code in [
            ((), grpc.StatusCode.UNAUTHENTICATED),
            ((("x-api-key", "nobody"),), grpc.StatusCode.UNAUTHENTICATED),
            ((("authorization", "Basic YTpi"),), grpc.StatusCode.UNAUTHENTICATED),
            ((("x-api-key", "monitor-key"),), grpc.StatusCode.PERMISSION_DENIED),
            ((("x-api-key", "alice-key"),), grpc.StatusCode.INVALID_ARGUMENT),
        ]:
            with pytest.raises(grpc.RpcError) as caught:
                predict(pb.PredictRequest(), metadata=metadata)
            assert caught.value.code() == code
        assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == 1
    with keyed.client() as http:
        assert http.get("/metrics").status_code == 401
        metrics = http.get("/metrics", headers={"authorization": "Bearer monitor-key"}).text
    for reason in ("missing", "unknown", "scope"):
        assert f'drugpred_denied_total{{reason="{reason}"}}' in metrics
    assert "nobody" not in metrics + keyed.output


def test_a_stream_is_limited_by_its_chunks(keyed):
    with Client(f"grpc://{keyed.grpc}", key="bob-key", retries=0) as client:
        with pytest.raises(RateLimitedError):
            list(client.stream(chunk() * 1001))
        with pytest.raises(RateLimitedError):
            client.predict(EXAMPLE)


def test_keys_are_rotated_without_a_restart(keyed, keys):
    before = keys.read_text()
    with keyed.client() as http:

        def status(key):
            return http.get("/model", headers={"x-api-key": key}).status_code

        def eventually(key, expected):
            deadline = time.monotonic() + 20
            while (found := status(key)) != expected and time.monotonic() < deadline:
                time.sleep(0.1)
            return found

        assert (status("alice-key"), status("new-key")) == (200, 401)
        keys.write_text(before + line("alice", "read", "new-key"))
        assert eventually("new-key", 200) == 200
        keys.write_text("malformed\n")
        time.sleep(2.5)
        assert (status("alice-key"), status("new-key")) == (200, 200)
        keys.write_text(line("alice", "read", "new-key") + line("monitor", "metrics", "monitor-key"))
        assert eventually("alice-key", 401) == 401
        assert status("new-key") == 200
        keys.write_text(before)
        assert eventually("alice-key", 200) == 200


def test_an_open_server_warns(server):
    assert "every caller is accepted" in server.output


def test_a_malformed_secret_ends_the_start_and_is_not_shown(launch, store):
    server = launch(store, DRUGPRED_REDIS_URL="s3cr3t")
    try:
        assert server.process.wait(60) == 1
    finally:
        server.stop()
    assert "expected" in server.output
    assert "s3cr3t" not in server.output


@pytest.fixture
def replicas(serve, store, tmp_path):
    """Two servers on one Redis, with one limit."""
    with ExitStack() as stack:
        redis = stack.enter_context(running())
        settings = {
            "DRUGPRED_REDIS_URL": redis.patient_url,
            "DRUGPRED_RATE_LIMIT": "100/hour",
            "DRUGPRED_FEEDBACK_KEY": new_key(),
        }
        homes = [tmp_path / str(i) for i in range(2)]
        for home in homes:
            shutil.copytree(store, home)
        yield [stack.enter_context(serve(home, **settings)) for home in homes]


def test_replicas_share_the_limit_and_the_memory_of_feedback(replicas):
    one, two = replicas
    with one.client() as http:
        answer = http.post("/predict", json=EXAMPLE | {"drugs": ["lsd"]})
    feedback = {"prediction_id": answer.json()["prediction_id"], "outcomes": {"lsd": True}}
    statuses = [httpx.post(f"{each.url}/feedback", json=feedback).status_code for each in (one, two, one)]
    assert statuses == [200, 409, 409]

    def ask(i):
        return httpx.post(f"{replicas[i % 2].url}/predict", json=EXAMPLE, timeout=60)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(150)))
    through = [answer.status_code for answer in answers].count(200)
    assert through == 100 - 4  # those of above count too
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    for each in replicas:  # gRPC is of the same caller
        with Client(f"grpc://{each.grpc}", retries=0) as client:
            for call in (client.predict, lambda profile, client=client: client.predict_batch([profile])):
                with pytest.raises(RateLimitedError) as caught:
                    call(EXAMPLE)
                assert caught.value.retry_after >= 1
            assert client.health()
