"""Services that do as a test says: over HTTP and gRPC, on loopback, in threads of the test's process."""

import asyncio
import json
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from drugpred.client import AsyncClient, Client
from drugpred.codebook import DRUGS, INPUTS, WINDOWS
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.schemas import Prediction
from drugpred.serving.grpc import converters
from tests.harness.ports import free_ports

MEASURE = {"threshold": 0.5, "base_rate": 0.5, "auc": None, "reliable": False}
CARD = {
    "model": "drug_consumption:test",
    "data": {"source": "simulated", "respondents": 20000},
    "drugs": {drug: {window: MEASURE | {"brier": 0.2} for window in WINDOWS} for drug in DRUGS},
    "seed": 42,
}


def answer(number, drugs=DRUGS):
    """What the services say of the person of this number of a request."""
    risks = [
        {
            "drug": drug,
            "probability": (number * len(DRUGS) + DRUGS.index(drug)) / 1e6,
            "prediction": 0,
            "label": "Low Risk",
            **MEASURE,
        }
        for drug in DRUGS
        if drug in drugs
    ]
    return Prediction(prediction_id=str(number), model=CARD["model"], window="decade", data_source="uci", risks=risks)


DRIFT = {
    "drifted": None,
    "fewest": 100,
    "inputs": {"age": {"n": 3, "psi": 0.5, "threshold": 0.7, "drifted": None}},
    "scores": {"lsd": {"n": 0, "psi": None, "threshold": None, "drifted": None}},
}
EXPLANATION = {"base": -1.5, "contributions": {name: i / 8 for i, name in enumerate(INPUTS)}}


def explained(prediction, include):
    for risk in prediction.risks if "explanation" in include else ():
        risk["explanation"] = EXPLANATION
    return prediction


class HTTPService:
    """Answers each request as the next of `script` says, then well.

    Steps are (status, headers, body), HANG_UP, or None to say nothing.
    """

    HANG_UP = "hang up"

    answer = staticmethod(answer)
    card = CARD
    drift = DRIFT
    explanation = EXPLANATION

    def __init__(self, tls=None):
        self.script = deque()
        self.requests = []
        self.ids = []
        self.answering = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                service.requests.append((self.path, body))
                service.ids.append(self.headers["x-request-id"])
                step = service.script.popleft() if service.script else (200, {}, service.content(self.path, body))
                if step is None or step == service.HANG_UP:
                    service.answering.wait(60 if step is None else 0)
                    self.close_connection = True
                    return
                status, headers, content = step
                self.send_response(status)
                for name, value in {"content-length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def content(self, path, body):
        match path:
            case "/predict":
                asked = json.loads(body)
                return (
                    explained(answer(0, asked.get("drugs", DRUGS)), asked.get("include", ())).model_dump_json().encode()
                )
            case "/predict_batch":
                profiles = json.loads(body)["profiles"]
                answers = [answer(i, profile.get("drugs", DRUGS)).model_dump() for i, profile in enumerate(profiles)]
                return json.dumps(answers).encode()
            case "/drift":
                return json.dumps(DRIFT).encode()
            case "/feedback":
                return json.dumps({"accepted": len(json.loads(body)["outcomes"])}).encode()
            case "/model":
                return json.dumps(CARD).encode()
            case "/readyz":
                return b""

    def fail(self, *kinds):
        statuses = {"unavailable": 503, "limited": 429, "refused": 400, "broken": 500}
        self.script.extend((statuses[kind], {}, b"{}") for kind in kinds)

    def unready(self):
        self.fail("unavailable")

    def hang(self, after=0):
        self.script.extend([(200, {}, self.content("/predict_batch", b'{"profiles": [{}]}'))] * after + [None])

    def stop(self):
        self.answering.set()
        self.server.shutdown()
        self.server.server_close()


class RPCService(pb_grpc.DrugPredictionServicer):
    """Answers each request as the next of `script` says, then well: what to do with its context."""

    answer = staticmethod(answer)
    card = CARD
    drift = DRIFT
    explanation = EXPLANATION

    def __init__(self, tls=None):
        self.script = deque()
        self.requests = []
        self.ids = []
        self.ended = []
        self.answering = threading.Event()
        self.health = health.HealthServicer()
        self.tls = tls
        (self.port,) = free_ports(1)  # it starts there again
        self.start()
        self.url = f"grpc{'s' if tls else ''}://localhost:{self.port}"

    def start(self):
        self.server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        pb_grpc.add_DrugPredictionServicer_to_server(self, self.server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        address = f"127.0.0.1:{self.port}"
        if self.tls:
            self.server.add_secure_port(address, self.tls)
        else:
            self.server.add_insecure_port(address)
        self.server.start()

    def _called(self, request, context):
        self.requests.append(request)
        self.ids.append(dict(context.invocation_metadata()).get("x-request-id"))
        if self.script:
            self.script.popleft()(context)

    def Predict(self, request, context):
        self._called(request, context)
        asked = ["explanation"] if pb.INCLUDE_EXPLANATION in request.profile.include else []
        return pb.PredictResponse(
            prediction=converters.prediction(explained(answer(0, self._drugs(request.profile)), asked))
        )

    def PredictBatch(self, request, context):
        self._called(request, context)
        answers = [answer(i, self._drugs(profile)) for i, profile in enumerate(request.profiles)]
        return pb.PredictBatchResponse(predictions=map(converters.prediction, answers))

    def PredictStream(self, request_iterator, context):
        yield from self.chunks(request_iterator, context)
        self.answering.wait(0.05)  # requests may end before the call is known to be cancelled
        if context.is_active():
            self.ended.append("well")

    def chunks(self, requests, context):
        for request in requests:
            self._called(request, context)
            drugs = self._drugs(request)
            risks = [risk for i in range(len(request.age)) for risk in answer(i, drugs).risks]
            yield pb.PredictStreamResponse(
                chunk=request.chunk,
                drugs=[converters.DRUGS[drug] for drug in DRUGS if drug in drugs],
                probabilities=[risk["probability"] for risk in risks],
            )

    def GetModel(self, request, context):
        self._called(request, context)
        return pb.GetModelResponse(model=CARD["model"], card=json.dumps(self.card))

    def _drugs(self, request):
        return [DRUGS[number - 1] for number in request.drugs]

    def fail(self, *kinds):
        codes = {
            "unavailable": grpc.StatusCode.UNAVAILABLE,
            "limited": grpc.StatusCode.RESOURCE_EXHAUSTED,
            "refused": grpc.StatusCode.INVALID_ARGUMENT,
            "broken": grpc.StatusCode.INTERNAL,
        }
        for kind in kinds:
            self.script.append(lambda context, code=codes[kind]: context.abort(code, "as the test says"))

    def unready(self):
        self.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    def hang(self, after=0):
        self.script.extend([lambda context: None] * after + [lambda context: self.answering.wait(60)])

    def stop(self):
        self.answering.set()
        self.server.stop(None).wait()


@pytest.fixture
def http_service():
    service = HTTPService()
    yield service
    service.stop()


@pytest.fixture
def rpc_service():
    service = RPCService()
    yield service
    service.stop()


@pytest.fixture(params=["http_service", "rpc_service"])
def service(request):
    """One of each transport."""
    return request.getfixturevalue(request.param)


class Awaiting:
    """An AsyncClient to call as a Client."""

    def __init__(self, *args, **kwargs):
        self._runner = asyncio.Runner()
        self._client = AsyncClient(*args, **kwargs)

    def __getattr__(self, name):
        return lambda *args, **kwargs: self._await(getattr(self._client, name)(*args, **kwargs))

    def stream(self, *args, **kwargs):
        answers = self._client.stream(*args, **kwargs)

        def iterate():
            try:
                while (answer := self._await(anext(answers, None))) is not None:
                    yield answer
            finally:
                self._await(answers.aclose())

        return iterate()

    def _await(self, awaitable):
        async def run():
            return await awaitable

        return self._runner.run(run())

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with self._runner:
            self.close()


@pytest.fixture(params=[Client, Awaiting], ids=["sync", "async"])
def make(request):
    """One of each client."""
    return request.param


@pytest.fixture
def waits(monkeypatch):
    """The waits between attempts, without waiting; the clock advances by them."""
    waited = []

    async def nap(seconds):
        waited.append(seconds)

    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(asyncio, "sleep", nap)
    return waited
