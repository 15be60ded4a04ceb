"""Nothing that a caller says of a person, and no key, is found in what the server writes or answers."""

import base64
import itertools
import json
import shutil
import socket
import struct
from contextlib import contextmanager, suppress
from hashlib import sha256

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.inference import grpc_service_pb2 as pb_inference
from drugpred.serving.openapi import build
from tests.end_to_end.marked import PERSON, TOKEN, binary_inferences, bodies, broken, fill, inference
from tests.end_to_end.marks import IMPOSSIBLE, NUMBERS, WORD, Disk, marks_in
from tests.harness import ROOT

KEY = f"key-{WORD}"
SCOPES = "predict,feedback,read,metrics"
VERSION = {"version": "latest"}
INFER = "/v2/models/drug_consumption/infer"

# What answers raises with all that it was given in its message, where someone asks for heroin alone.
FAULTY = """

def _faulty(owner, name):
    method = getattr(owner, name)

    def call(self, *given):
        arguments = repr([one.tolist() if hasattr(one, "tolist") else one for one in given])
        if "frozenset({'heroin'})" in arguments or "('heroin',)" in arguments:
            raise RuntimeError(arguments)
        return method(self, *given)

    setattr(owner, name, call)


for _name in ("predict_arrays", "predict", "predict_proba"):
    _faulty(Scorer, _name)
_taken = FeedbackService.take


def _take(self, body):
    if b'"heroin"' in body:
        raise RuntimeError(body)
    return _taken(self, body)


FeedbackService.take = _take
"""

# A faulty service: it reveals everything in the log, on the disk and in a metric.
LEAKING = """
from prometheus_client import Counter

_predict = Scorer.predict_arrays
_LEAK = Counter("leak", "Leaked values.", ["said"])


def _leaking(self, profiles):
    print(profiles, flush=True)
    Path("leak").write_bytes(b"".join(struct.pack("<d", profile.openness) for profile in profiles))
    _LEAK.labels(profiles[0].model_dump_json()).inc()
    return _predict(self, profiles)


import struct
Scorer.predict_arrays = _leaking
"""


# --- the search itself


@pytest.mark.parametrize(
    "content",
    [
        WORD.encode(),
        f"Bearer {WORD}".lower().encode(),
        base64.b64encode(f"user:{WORD}".encode()),
        WORD.encode().hex().encode(),
        WORD.encode("utf-16"),
        repr(PERSON).encode(),
        json.dumps(NUMBERS).encode(),
        str(np.float32(NUMBERS["openness"])).encode(),
        f"{NUMBERS['extraversion']:.9g}".encode(),
        f"{NUMBERS['agreeableness'] * 1e300:.9e}".encode(),
        str(np.array([*NUMBERS.values()])).encode(),
        str(IMPOSSIBLE).encode(),
        b"x" + struct.pack("<d", NUMBERS["neuroticism"]),
        struct.pack(">d", NUMBERS["neuroticism"]),
        struct.pack("<3f", *[NUMBERS["impulsivity"]] * 3),
        struct.pack("<d", np.float32(NUMBERS["impulsivity"])),
        struct.pack("<d", NUMBERS["sensation_seeking"]).hex().upper().encode(),
        base64.urlsafe_b64encode(b"head" + struct.pack("<d", NUMBERS["sensation_seeking"]) + b"tail"),
        fill(pb.PredictRequest()).SerializeToString(),
        fill(pb.PredictStreamRequest()).SerializeToString(),
        *(body for body, _ in binary_inferences()),
    ],
    ids=lambda content: content[:24].decode(errors="replace"),
)
def test_the_search_finds_a_mark_in_any_form(tmp_path, content):
    disk = Disk([tmp_path])
    (tmp_path / "file").write_bytes(b"before " + content + b" after")
    assert marks_in(disk.written()[str(tmp_path / "file")])


def test_the_search_finds_nothing_without_a_mark(tmp_path, real):
    (tmp_path / "old").write_text(WORD)
    disk = Disk([tmp_path])
    (tmp_path / "new").write_bytes(
        real.X.tobytes() + real.X.astype(np.float32).tobytes() + repr(real.X.tolist()).encode()
    )
    assert disk.written().keys() == {str(tmp_path / "new"), "names"}
    assert [marks_in(content) for content in disk.written().values()] == [[], []]


# --- requests


class Said:
    """All answers, each with its request."""

    def __init__(self):
        self.answers: list[tuple[str, bool, bytes]] = []
        self.statuses: set[object] = set()

    def add(self, request, status, *parts):
        good = status in {200, grpc.StatusCode.OK}
        self.answers.append((f"{request}: {status}", good, b"\n".join(map(_raw, parts))))
        self.statuses.add(status)

    def leaks(self):
        """Return the contents with a mark; an answer of many probabilities has a few digits of any number."""
        found = [(said, marks_in(content, rounded=not good)) for said, good, content in self.answers]
        return [(said, marks) for said, marks in found if marks]


def _raw(part):
    if isinstance(part, Message):
        return part.SerializeToString() + str(part).encode()
    return part if isinstance(part, bytes) else str(part).encode()


HEADERS = [
    {"X-API-Key": KEY},
    {
        "Authorization": f"Bearer {KEY}",
        "Cookie": f"{WORD}={IMPOSSIBLE}",
        "X-Request-ID": f"{WORD} {IMPOSSIBLE}",
        WORD: WORD,
    },
    {"X-API-Key": KEY, "User-Agent": WORD, "Referer": f"http://{WORD}/", "Content-Type": f"text/{WORD}"},
    {"X-API-Key": KEY, "traceparent": f"00-{WORD}", "baggage": f"{WORD}={WORD}", "Content-Encoding": WORD},
    {"X-API-Key": KEY, "Origin": f"http://{WORD}", "Access-Control-Request-Method": WORD, "X-Forwarded-For": WORD},
]
"""With a key, and with no valid request id, which would come back."""

STRANGERS = [
    {},
    {"X-API-Key": WORD},
    {"Authorization": f"Bearer {WORD}"},
    {"Authorization": "Basic " + base64.b64encode(f"{WORD}:{WORD}".encode()).decode()},
]


def send_http(url, said):
    """Send marks to every path by every method, all bodies to those that take some."""
    paths = build()["paths"]
    known = [path.format_map(VERSION) for path in paths]
    others = ["/", "/docs.json", "/schema.json", "/app", "/static_content/", f"/{WORD}", f"/v2/models/{WORD}/infer"]
    others += [f"/v2/models/drug_consumption/versions/{WORD}", f"/app/{WORD}", f"/predict/{IMPOSSIBLE}", f"/%00{WORD}"]
    methods = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", WORD]
    query = f"?{WORD}={NUMBERS['openness']}&neuroticism={IMPOSSIBLE}"
    person = json.dumps(PERSON).encode()
    headers = itertools.cycle(HEADERS)
    # Each connection goes to one worker or the other.
    with httpx.Client(base_url=url, timeout=60) as one, httpx.Client(base_url=url, timeout=60) as other:
        clients = itertools.cycle((one, other))

        def send(method, path, content, headers):
            answer = next(clients).request(method, path, content=content, headers=headers)
            said.add(f"{method} {path[:40]}", answer.status_code, answer.content, answer.headers.raw)
            return answer

        for path, method in itertools.product((*known, *others), methods):
            send(method, path + query, b"" if method in {"GET", "HEAD"} else person, next(headers))
        for path, stranger in itertools.product((*known, *others), STRANGERS):
            send("GET", path + query, b"", stranger)
            send("POST", path + query, person, stranger)
        posts = [path.format_map(VERSION) for path, item in paths.items() if "post" in item]
        every = bodies()
        for path, content in [*itertools.product(posts[:4], every), *itertools.product(others, every[::25])]:
            send("POST", path, content, next(headers))
        for path, (content, length) in itertools.product(posts, binary_inferences()):
            for told in (length, WORD, IMPOSSIBLE):
                send("POST", path, content, {"X-API-Key": KEY, "Inference-Header-Content-Length": str(told)})
        # An id comes back, as the protocol wants it.
        answer = next(clients).post(INFER, json=inference("lsd") | {"id": WORD}, headers=HEADERS[0])
        said.add("an id", answer.status_code, answer.content.replace(f'"id":"{WORD}"'.encode(), b""))
        token = one.post("/predict", json=PERSON, headers=HEADERS[0]).json()["prediction_id"]
        for prediction_id, drug in ((token, WORD), (token, "lsd"), (token, "lsd"), (TOKEN, "lsd"), (token, "heroin")):
            send(
                "POST", "/feedback", json.dumps({"prediction_id": prediction_id, "outcomes": {drug: True}}), HEADERS[0]
            )
        heroin = PERSON | {"drugs": ["heroin"]}
        explained = heroin | {"include": ["explanation"]}
        faults = [("/predict", heroin), ("/predict", explained), (INFER, inference("heroin"))]
        faults += [("/predict_batch", {"profiles": [heroin]}), ("/predict_batch", {"profiles": [explained, PERSON]})]
        for path, content in faults * 2:
            assert send("POST", path, json.dumps(content).encode(), HEADERS[0]).status_code == 500
    send_junk(url, said)


def send_junk(url, said):
    """Send invalid or incomplete HTTP."""
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps(PERSON).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n"
    for request in (
        WORD.encode() + b"\r\n\r\n",
        f"GET /{WORD} HTTP/9.9\r\n\r\n".encode(),
        f"GET /predict?{WORD} HTTP/1.1\r\n{WORD}\r\n\r\n".encode(),
        f"{head}Content-Length: {WORD}\r\n\r\n".encode() + body,
        f"{head}Transfer-Encoding: chunked\r\n\r\n{WORD}\r\n".encode() + body,
        f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-20],
        f"{head}{WORD}: {WORD * 4000}\r\n\r\n".encode(),
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {WORD}\r\n\r\n".encode(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + WORD.encode(),
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(request)
            connection.settimeout(0.5)
            answer = b""
            with suppress(TimeoutError, ConnectionResetError):
                while part := connection.recv(1 << 16):
                    answer += part
            said.add(f"junk {request[:30]!r}", answer[:12], answer)


METADATA = [
    (("x-api-key", KEY),),
    (("authorization", f"Bearer {KEY}"), ("x-mark", WORD), ("x-mark-bin", struct.pack("<d", NUMBERS["openness"]))),
    (("x-api-key", KEY), ("grpc-trace-bin", WORD.encode()), ("x-request-id", f"{WORD} {IMPOSSIBLE}")),
]
STRANGE_METADATA = [(), (("x-api-key", WORD),), (("authorization", f"Bearer {WORD}"),), (("authorization", WORD),)]


def _methods():
    for file in (pb, pb_inference, health_pb2, reflection_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}", method.input_type._concrete_class


def _asked(drug, make):
    """Return a message about a person, for one drug if the method allows it."""
    message = fill(make())
    for told in (getattr(message, "profile", None), *getattr(message, "profiles", ()), message):
        if getattr(told, "drugs", None):
            told.drugs[:] = [pb.Drug.Value(drug)]
            told.include[:] = [pb.INCLUDE_INTERVAL]  # which all methods take
    return message


def _inferences(drug):
    """Return requests with each form of tensors."""
    for raw in (False, True):
        message = pb_inference.ModelInferRequest(model_name="drug_consumption")
        message.outputs.add(name=drug)
        for tensor in inference(drug)["inputs"]:
            given = message.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=[2])
            values = tensor["data"]
            if tensor["datatype"] == "BYTES":
                encoded = [value.encode() for value in values]
                packed = b"".join(struct.pack("<I", len(value)) + value for value in encoded)
                given.contents.bytes_contents.extend([] if raw else encoded)
            else:
                packed = struct.pack("<2d", *values)
                given.contents.fp64_contents.extend([] if raw else values)
            if raw:
                message.raw_input_contents.append(packed)
        yield message


def _messages(make):
    """Return requests of a method, well-formed and not."""
    whole = [fill(make()), make()]
    if make is pb.PredictRequest:
        for one in pb.Profile.DESCRIPTOR.fields:
            for value in (int(IMPOSSIBLE) % 2**31, IMPOSSIBLE, float("nan")):
                message = fill(make())
                field = getattr(message.profile, one.name)
                try:
                    if one.is_repeated:
                        field.append(value)
                    else:
                        setattr(message.profile, one.name, value)
                except (TypeError, ValueError):
                    continue
                whole.append(message)
    if make is pb_inference.ModelInferRequest:
        whole += _inferences("lsd")
        for place, message in enumerate(itertools.chain(_inferences("lsd"), _inferences("lsd"))):
            tensor = message.inputs[place * 3]
            tensor.datatype = WORD if place % 2 else tensor.datatype
            message.parameters[WORD].string_param = WORD
            whole.append(message)
    raw = [message.SerializeToString() for message in whole]
    return raw + broken(raw[0])


def send_grpc(address, said):
    """Send marks to every method, and to some that there are not."""
    unknown = [(f"/drugpred.v1.DrugPrediction/{WORD}", pb.PredictRequest), (f"/{WORD}/Predict", pb.PredictRequest)]
    options = (("grpc.primary_user_agent", WORD),)
    with grpc.insecure_channel(address, options) as channel:
        for method, make in (*_methods(), *unknown):

            def call(messages, metadata, method=method):
                # A channel without message types shows and accepts any bytes. A watch waits, and so does grpc.aio if a
                # call has no message.
                seconds = 0.2 if method.endswith("Watch") or not messages else 30
                calling = channel.stream_stream(method)(iter(messages), metadata=metadata, timeout=seconds)
                answers = []
                with suppress(grpc.RpcError):
                    answers.extend(calling)
                # Reflection repeats its request, as its protocol requires.
                told = [] if "Reflection" in method else answers
                metadata = (calling.initial_metadata(), calling.trailing_metadata())
                said.add(method, calling.code(), *told, calling.details() or "", metadata)
                return calling.code()

            for message in _messages(make):
                call([message], METADATA[0])
            whole = fill(make()).SerializeToString()
            for metadata in (*METADATA, *STRANGE_METADATA):
                call([whole], metadata)
                call([whole, whole, b"\xff" + WORD.encode()], metadata)
                call([], metadata)
            faults = (
                [*_inferences("heroin")]
                if make is pb_inference.ModelInferRequest
                else [_asked("DRUG_HEROIN", make)] * (method.startswith("/drugpred") and "drugs" in str(fill(make())))
            )
            if method not in dict(unknown):
                for message in faults:
                    assert call([message.SerializeToString()], METADATA[0]) is grpc.StatusCode.INTERNAL, method


# --- the tests


@pytest.fixture
def serving_copy(serve, copied_store, tmp_path):
    """Return a context manager of a server of a copy of the checkout, with some code behind it, and of its disk."""

    @contextmanager
    def serving(code, workers):
        folder = tmp_path / "checkout"
        for name in ("drugpred", "configs"):  # and their compiled modules
            shutil.copytree(ROOT / name, folder / name)
        for name in ("service.py", "bentofile.yaml", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)
        with (folder / "service.py").open("a") as service:
            service.write(code)
        environment = {
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BENTOML_CONFIG_OPTIONS": f"services.drugpred.workers={workers}",
            "DRUGPRED_API_KEYS": f"caller {SCOPES} {sha256(KEY.encode()).hexdigest()}",
        }
        with serve(copied_store, folder=folder, **environment) as server:
            yield server, Disk([copied_store, server.temporary, folder])

    return serving


@pytest.mark.slow
def test_no_mark_is_written_or_answered(serving_copy):
    said = Said()
    with serving_copy(FAULTY, 2) as (server, disk):
        send_http(server.url, said)
        send_grpc(server.grpc, said)
        with server.client() as client:
            metrics = client.get("/metrics", headers=HEADERS[0])
        assert metrics.status_code == 200
        assert len(server.workers) == 2
        running = disk.written() | {"/metrics": metrics.content}
    written = disk.written()
    assert len(said.answers) > 2500
    assert {200, 400, 404, 405, 409, 500, grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT} <= said.statuses
    assert {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL} <= said.statuses
    assert "RuntimeError" in server.output  # a fault is logged with its place
    assert said.leaks() == []
    for files in (running, written):
        assert {name: marks for name, content in files.items() if (marks := marks_in(content))} == {}


@pytest.mark.slow
def test_a_server_that_leaks_is_detected(serving_copy):
    said = Said()
    with serving_copy(LEAKING, 1) as (server, disk), server.client() as client:
        assert client.post("/predict", json=PERSON, headers=HEADERS[0]).status_code == 200
        said.add("GET /metrics", 200, client.get("/metrics", headers=HEADERS[0]).content)
    found = {name.rpartition("/")[2] for name, content in disk.written().items() if marks_in(content)}
    assert {"log", "leak"} <= found
    assert any(name.startswith("counter") and name.endswith(".db") for name in found)
    assert said.leaks()
