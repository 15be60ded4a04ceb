"""The service over gRPC, as its callers and its operator meet it."""

import json
import os
import resource
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from hashlib import sha256

import grpc
import httpx
import numpy as np
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from prometheus_client.parser import text_string_to_metric_families

from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES, WINDOWS
from drugpred.model_store import NAME
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.proto.inference import grpc_service_pb2 as v2
from drugpred.proto.inference import grpc_service_pb2_grpc as v2_grpc
from drugpred.schemas import EXAMPLE
from tests.harness import wait
from tests.harness.service import left_by

PERSON = pb.Profile(
    years=25,
    gender=pb.GENDER_FEMALE,
    education=pb.EDUCATION_UNIVERSITY_DEGREE,
    country=pb.COUNTRY_UK,
    ethnicity=pb.ETHNICITY_WHITE,
    **{score.name: EXAMPLE[score.name] for score in SCORES},
)
REQUEST = pb.PredictRequest(profile=PERSON)
THOUSAND = pb.PredictBatchRequest(profiles=[PERSON] * 1000)
PREDICT = "/drugpred.v1.DrugPrediction/Predict"
PREDICT_BATCH = "/drugpred.v1.DrugPrediction/PredictBatch"
OWN = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return pb_grpc.DrugPredictionStub(channel)


def healthy(address):
    with grpc.insecure_channel(address, OWN) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    return answer.status == health_pb2.HealthCheckResponse.SERVING


def chunk_of(rows, **options):
    columns = dict(zip(INPUTS, rows.T, strict=True))
    codes = {category.name: columns[category.name].astype(int) + 1 for category in CATEGORIES}
    return pb.PredictStreamRequest(**columns | codes, **options)


# --- answers


@pytest.mark.conformance
def test_it_answers_like_http(stub, client):
    risks = client.post("/predict", json=EXAMPLE).json()["risks"]
    answer = stub.Predict(REQUEST).prediction
    assert [DRUGS[risk.drug - 1] for risk in answer.risks] == [risk["drug"] for risk in risks]
    for said, risk in zip(answer.risks, risks, strict=True):
        assert said.probability == pytest.approx(risk["probability"], abs=1e-12)
        assert said.prediction == risk["prediction"]
        assert (said.threshold, said.base_rate, said.auc) == (risk["threshold"], risk["base_rate"], risk["auc"])
        assert said.reliable == risk["reliable"]


@pytest.mark.conformance
def test_a_stream_predicts_for_everybody(stub, real, expected):
    parts = np.array_split(real.X, 3)
    answers = stub.PredictStream(chunk_of(part, chunk=i, window="WINDOW_YEAR") for i, part in enumerate(parts))
    said = np.concatenate([np.reshape(answer.probabilities, (-1, 18)) for answer in answers])
    assert np.allclose(said, expected[:, :, WINDOWS.index("year")], atol=1e-12, rtol=0)


@pytest.mark.conformance
def test_the_model_is_the_same_as_over_http(stub, client):
    answer = stub.GetModel(pb.GetModelRequest())
    assert json.loads(answer.card) == client.get("/model").json()


@pytest.mark.conformance
def test_health_and_reflection_are_served(server, channel):
    assert healthy(server.grpc)
    assert "drugpred.v1.DrugPrediction" in ProtoReflectionDescriptorDatabase(channel).get_services()


@pytest.mark.conformance
def test_calls_are_counted_separately_from_requests(stub, client):
    def counts():
        families = text_string_to_metric_families(client.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples]
        return Counter(
            {
                sample.labels["code"]: sample.value
                for sample in samples
                if sample.name == "drugpred_grpc_requests_total" and sample.labels["method"] == PREDICT[1:]
            }
        )

    before = counts()
    for request in (REQUEST, REQUEST, pb.PredictRequest()):
        try:
            stub.Predict(request)
        except grpc.RpcError as error:
            assert error.code() is StatusCode.INVALID_ARGUMENT  # noqa: PT017
    assert counts() - before == {"OK": 2, "INVALID_ARGUMENT": 1}


def test_it_listens_where_http_does_and_nowhere_else(server):
    listening = [
        each.laddr for worker in server.workers for each in worker.net_connections() if each.status == "LISTEN"
    ]
    # IPv4 within IPv6, by which grpc listens.
    assert {(address.ip.removeprefix("::ffff:"), address.port) for address in listening} == {
        ("127.0.0.1", int(address.rpartition(":")[2])) for address in (server.url, server.grpc)
    }


# --- what goes wrong


MARKS = {"neuroticism": 0.57721566490, "extraversion": -0.91596559417, "openness": 1.20205690315}
MALFORMED = {"years": 2685452001, "gender": 1303577269, "agreeableness": 4669201609.5, "window": 1902160583}


@pytest.mark.conformance
def test_no_value_of_a_profile_is_written_anywhere(server, stub, client, store, real):
    person, wrong = pb.Profile(), pb.Profile()
    for message, values in ((person, MARKS), (wrong, MARKS | MALFORMED)):
        message.CopyFrom(PERSON)
        for name, value in values.items():
            setattr(message, name, value)
    assert stub.Predict(pb.PredictRequest(profile=person)).prediction.risks
    assert stub.PredictBatch(pb.PredictBatchRequest(profiles=[person])).predictions
    chunk = chunk_of(real.X[:2], window=MALFORMED["window"])
    chunk.openness[1] = MARKS["openness"]
    said = []
    for call in (
        lambda: stub.Predict(pb.PredictRequest(profile=wrong)),
        lambda: stub.PredictBatch(pb.PredictBatchRequest(profiles=[person, wrong])),
        lambda: list(stub.PredictStream(iter([chunk]))),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is StatusCode.INVALID_ARGUMENT
        said.append(repr(caught.value).encode() + repr(caught.value.trailing_metadata()).encode())
    said.append(client.get("/metrics").content)
    said += [path.read_bytes() for home in (store, server.temporary) for path in home.rglob("*") if path.is_file()]
    values = [str(value).encode() for value in (*MARKS.values(), *MALFORMED.values())]
    assert [value for value in values if any(value in text for text in said)] == []


@pytest.mark.conformance
def test_the_server_stays_healthy_after_any_bytes(server, channel):
    raw = REQUEST.SerializeToString()
    for request, code in (
        (b"\xff" * 50, StatusCode.INVALID_ARGUMENT),
        (raw[:-3], StatusCode.INVALID_ARGUMENT),
        (b"", StatusCode.INVALID_ARGUMENT),
        (b"\x0a\x04\x20\xff\xff\x03", StatusCode.INVALID_ARGUMENT),  # a gender of 65535
        (b"\0" * (5 * 2**20), StatusCode.RESOURCE_EXHAUSTED),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(PREDICT)(request, timeout=30)
        assert caught.value.code() is code
    with pytest.raises(grpc.RpcError) as caught:  # a thousand profiles take longer than a millisecond
        channel.unary_unary(PREDICT_BATCH)(THOUSAND.SerializeToString(), timeout=0.001)
    assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
    host, _, port = server.grpc.partition(":")
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100, os.urandom(1000)):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(junk)
    assert healthy(server.grpc)
    assert channel.unary_unary(PREDICT)(raw)


MB = 2**20


class Peak:
    """The most memory that a worker adds until the end of a block, in bytes."""

    def __init__(self, worker):
        self._worker, self._ended = worker, threading.Event()
        self._before = self.highest = worker.memory_info().rss
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _watch(self):
        while not self._ended.wait(0.02):
            self.highest = max(self.highest, self._worker.memory_info().rss)

    @property
    def grown(self):
        return self.highest - self._before


@pytest.fixture(scope="module")
def loaded(serve, store):
    """A server for what fills memory, which its allocator keeps for the next time."""
    with serve(store) as server:
        yield server


def silence():
    threading.Event().wait(60)
    yield b""


@pytest.mark.slow
def test_ever_so_many_calls_without_a_message_hold_little_and_end(loaded):
    (worker,) = loaded.workers
    with ExitStack() as stack, Peak(worker) as peak:
        channels = [stack.enter_context(grpc.insecure_channel(loaded.grpc, OWN)) for _ in range(20)]
        calls = [channel.stream_stream(PREDICT)(silence(), timeout=60) for channel in channels for _ in range(100)]
        assert pb_grpc.DrugPredictionStub(channels[0]).Predict(REQUEST, timeout=10).prediction.risks
        codes = Counter(call.code() for call in calls)
    assert set(codes) == {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED}
    assert codes[StatusCode.DEADLINE_EXCEEDED] <= 16
    assert peak.grown < 48 * MB


@pytest.mark.slow
@pytest.mark.parametrize("reads", [True, False], ids=["taken", "not taken"])
def test_64_streams_of_10000_people_per_chunk_use_the_documented_memory(loaded, real, reads):
    message = chunk_of(np.resize(real.X, (10_000, len(INPUTS)))).SerializeToString()
    method = "/drugpred.v1.DrugPrediction/PredictStream"
    ahead = [*OWN, ("grpc.http2.lookahead_bytes", 64 * MB if reads else 1024), ("grpc.http2.bdp_probe", 0)]
    ended = threading.Event()

    def chunks():
        while not ended.is_set():
            yield message

    (worker,) = loaded.workers
    with ExitStack() as stack, Peak(worker) as peak:
        channels = [stack.enter_context(grpc.insecure_channel(loaded.grpc, ahead)) for _ in range(16)]
        calls = [channels[i % 16].stream_stream(method)(chunks(), timeout=60) for i in range(64)]
        if reads:
            assert all(next(call) for call in calls)
        else:
            time.sleep(6)
        with grpc.insecure_channel(loaded.grpc, OWN) as channel:
            assert pb_grpc.DrugPredictionStub(channel).Predict(REQUEST, timeout=30).prediction.risks
        ended.set()
        for call in calls:
            call.cancel()
    assert peak.grown < 400 * MB  # of the container's 512, in addition to the 95 that it starts with


@pytest.mark.slow
def test_a_thousand_connections_that_say_nothing_hold_up_nobody(loaded):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 4000:
        pytest.fail("expected a hard limit of 4000 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4000, limits[1]))
    try:
        with ExitStack() as stack:
            host, _, port = loaded.grpc.partition(":")
            for i in range(1000):
                connection = stack.enter_context(socket.create_connection((host, int(port))))
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[: i % 25])
            assert healthy(loaded.grpc)
            with grpc.insecure_channel(loaded.grpc, OWN) as channel:
                assert pb_grpc.DrugPredictionStub(channel).Predict(REQUEST, timeout=30).prediction.risks
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# --- for the operator


def test_a_port_that_is_taken_ends_the_start(server, launch, store):
    port = server.grpc.rpartition(":")[2]
    other = launch(store, DRUGPRED_GRPC_PORT=port)
    try:
        assert other.process.wait(60) == 1
    finally:
        other.stop()
    line = other.output.splitlines()[-1]
    assert line.endswith("; set DRUGPRED_GRPC_PORT to another port for gRPC")
    assert f"port {port} is in use by process {server.workers[0].pid} " in line


def connections(worker, address, status):
    port = int(address.rpartition(":")[2])
    return sum(each.laddr.port == port and each.status == status for each in worker.net_connections())


PROBES = ["/readyz", "/v2/health/ready", f"/v2/models/{NAME}/ready", f"/v2/models/{NAME}/versions/{{version}}/ready"]


@pytest.mark.conformance
@pytest.mark.slow
def test_every_probe_reports_that_a_worker_ends_which_still_answers(serve, copied_store, stored_model):
    """Every balancer's probe, without a key though keys are set, fails in time to send requests elsewhere."""
    keys = {"DRUGPRED_API_KEYS": f"somebody predict {sha256(b'key').hexdigest()}"}
    with (
        serve(copied_store, **keys) as server,
        server.client() as client,
        grpc.insecure_channel(server.grpc, OWN) as channel,
    ):
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        stub = v2_grpc.GRPCInferenceServiceStub(channel)
        paths = [path.format(version=stored_model.tag.partition(":")[2]) for path in PROBES]
        (worker,) = server.workers

        def predict():
            return client.post("/predict", json=EXAMPLE, headers={"x-api-key": "key"})

        def readiness():
            """The answers to a load balancer over HTTP, to GET and HEAD, and over gRPC."""
            by_http = {client.request(method, path).status_code for path in paths for method in ("GET", "HEAD")}
            model = v2.ModelReadyRequest(name=NAME)
            return by_http, {stub.ServerReady(v2.ServerReadyRequest()).ready, stub.ModelReady(model).ready}

        assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
        assert readiness() == ({200}, {True})
        assert "connection" not in predict().headers
        server.process.terminate()
        assert next(watching).status == health_pb2.HealthCheckResponse.NOT_SERVING
        answer = predict()
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert readiness() == ({503}, {False})
        assert client.get("/v2/health/live").json() == {"live": True}
        assert stub.ServerLive(v2.ServerLiveRequest()).live
        own = (("x-api-key", "key"),)
        assert pb_grpc.DrugPredictionStub(channel).Predict(REQUEST, metadata=own).prediction.risks
        assert server.process.wait(30) == 0
        assert not worker.is_running()


def count(samples):
    """How many predictions were answered over gRPC and HTTP."""

    def by(label, name, **labels):
        asked = [sample for sample in samples if (sample.name, sample.labels | labels) == (name, sample.labels)]
        return {sample.labels[label]: sample.value for sample in asked if sample.value}

    return {
        "grpc": by("code", "drugpred_grpc_requests_total", method=PREDICT[1:]),
        "http": by("http_response_code", "bentoml_service_request_total", endpoint="/predict"),
    }


def share(server):
    """Ask two workers on new connections until both have answered; return the numbers of calls and of requests."""
    with ExitStack() as stack:
        wait(lambda: sum(connections(worker, server.grpc, "LISTEN") for worker in server.workers) == 2, "two listeners")
        for _ in range(40):
            channel = stack.enter_context(grpc.insecure_channel(server.grpc, OWN))
            assert pb_grpc.DrugPredictionStub(channel).Predict(REQUEST).prediction.risks
        shares = [connections(worker, server.grpc, "ESTABLISHED") for worker in server.workers]
        assert sum(shares) == 40
        assert min(shares) > 0
    answered, requests, deadline = set(), 0, time.monotonic() + 30
    while len(answered) < 2 and time.monotonic() < deadline:
        with server.client() as client:
            assert client.post("/predict", json=EXAMPLE).status_code == 200
            requests += 1
            text = client.get("/metrics").text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        last = [sample for sample in samples if sample.name == "bentoml_service_last_request_timestamp_seconds"]
        answered = {sample.labels["pid"] for sample in last}
    assert len(answered) == 2
    assert count(samples) == {"grpc": {"OK": 40}, "http": {"200": requests}}
    return 40, requests


@pytest.mark.conformance
@pytest.mark.slow
def test_two_workers_share_the_ports_add_up_and_sigterm_under_load_loses_no_call(launch, copied_store):
    server = launch(copied_store, BENTOML_CONFIG_OPTIONS="services.drugpred.workers=2")
    server.wait_until_ready()
    workers = server.workers
    calls, requests = share(server)
    answered, failures, ending = Counter(), [], threading.Event()

    def ask(transport, send):
        while True:
            try:
                send()
                answered[transport, threading.get_ident()] += 1
            except (grpc.RpcError, httpx.TransportError) as error:
                failures.append((transport, ending.is_set(), error))
                return

    def by_grpc():
        with grpc.insecure_channel(server.grpc, OWN) as channel:
            stub = pb_grpc.DrugPredictionStub(channel)
            ask("grpc", lambda: stub.Predict(REQUEST, timeout=60))

    def by_http():
        with server.client() as client:
            ask("http", lambda: client.post("/predict", json=EXAMPLE).raise_for_status())

    def by_new_connections():
        def send():
            with server.client() as client:
                client.post("/predict", json=EXAMPLE).raise_for_status()

        ask("http", send)

    threads = [threading.Thread(target=by) for by in (by_grpc, by_http, by_new_connections) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    ending.set()
    server.process.terminate()
    for thread in threads:
        thread.join(60)
    try:
        assert server.process.wait(30) == 0
    finally:
        server.stop()
    assert [transport for transport, ended, _ in failures if not ended] == []
    grpc_answered, http_answered = (
        sum(n for (each, _), n in answered.items() if each == transport) for transport in ("grpc", "http")
    )
    assert min(grpc_answered, http_answered) > len(threads)
    assert count(left_by(copied_store)) == {
        "grpc": {"OK": calls + grpc_answered},
        "http": {"200": requests + http_answered},
    }
    assert len(workers) == 2
    assert not any(worker.is_running() for worker in workers)
