"""What generates and judges bad requests, without a service."""

import asyncio
import json
import os
import random
import re
import socket
import threading
import time
import zlib
from collections import Counter
from contextlib import suppress

import httpx
import psutil
import pytest
from grpc import StatusCode

from drugpred.schemas import Batch, Profile
from drugpred.serving.v2.types import InferenceRequest
from loadtest.fuzz import (
    auth,
    bodies,
    cli,
    clock,
    frames,
    http_client,
    http_inputs,
    inputs,
    key_inputs,
    oracle,
    process_monitor,
    runner,
)
from loadtest.harness.http1 import Response

RIGHT = "right-key-of-this-test"


def test_the_same_seed_makes_the_same_inputs():
    planned = inputs.plan(cli.FAMILIES, 300, 1)
    assert len(planned) == 300
    assert {family.name for family, _ in planned} == {family.name for family in cli.FAMILIES}
    assert planned == inputs.plan(cli.FAMILIES, 300, 1) != inputs.plan(cli.FAMILIES, 300, 2)
    small = [(family, i) for family, i in planned if not family.alone]
    assert [inputs.generate(family, 1, i) for family, i in small] == [
        inputs.generate(family, 1, i) for family, i in small
    ]
    others = [inputs.generate(family, 2, i) == inputs.generate(family, 1, i) for family, i in small]
    assert sum(others) < len(others) / 4


def test_the_key_comes_with_nine_inputs_of_ten():
    with_key = Counter()
    for family, i in inputs.plan([one for one in cli.FAMILIES if not one.alone], 3000, 1):
        sent, same = (auth.with_key(family, 1, i, RIGHT) for _ in range(2))
        assert sent == same
        bare = inputs.generate(family, 1, i)
        if isinstance(sent, inputs.Call):
            with_key[family.name] += RIGHT in str(sent.metadata)
            assert sent._replace(metadata=bare.metadata) == bare
        else:
            with_key[family.name] += RIGHT.encode() in sent.data
            assert re.sub(rb"(authorization: Bearer|x-api-key:) " + RIGHT.encode() + b"\r\n", b"", sent.data) == (
                bare.data if sent.port is inputs.Port.HTTP else sent.data
            )
    assert 0.85 < with_key["JSON, bytes altered"] / 642 < 0.95
    assert 0.8 < with_key["gRPC, bytes altered"] / 172 < 1
    assert not {name for name in ("methods", "paths", "HTTP, malformed", "HTTP/2 frames") if not with_key[name]}
    opening = frames.call(b"/a/B", b"message", [])
    assert frames.with_header(opening, (b"x-api-key", b"k")) == frames.call(b"/a/B", b"message", [(b"x-api-key", b"k")])
    assert frames.with_header(b"no frames", (b"x-api-key", b"k")) == b"no frames"


def test_keys_are_wrong_in_many_ways():
    http, rpc, _ = key_inputs.families(RIGHT)
    requests = [inputs.generate(http, 1, i).data for i in range(500)]
    calls = [inputs.generate(rpc, 1, i) for i in range(500)]
    right = RIGHT.encode()
    for sent in (requests, [repr(call).encode() for call in calls]):
        assert any(right in one for one in sent)
        assert any(right not in one and b"authorization" in one for one in sent)
        assert any(b"authorization" in one and b"x-api-key" in one for one in sent)
        assert any(b"authorization" not in one and b"x-api-key" not in one for one in sent)
        assert any(one.count(b"x-api-key") > 1 for one in sent)
    assert any(not one.partition(b"\r\n\r\n")[0].isascii() for one in requests)
    assert any(len(one) > 2**15 for one in requests)
    assert {type(call) for call in calls} == {inputs.Call, inputs.Exchange}


@pytest.mark.parametrize(
    ("request_", "status", "wrong"),
    [
        ("POST /predict", "200", True),
        ("POST /predict", "401", False),
        ("GET /metrics", "200", True),
        ("GET /health", "200", False),
        ("POST /predict\nx-api-key: {key}", "200", False),
        ("POST /predict\nauthorization: Bearer {key}", "200", False),
        ("POST /predict\nx-api-key: {key}x", "200", True),
        ("POST /predict\nx-api-key: Zq7Marked3{key}", "200", True),
        ("POST /predict\n\n0\nx-api-key: {key}", "200", True),
    ],
)
def test_requests_that_were_let_in_without_the_key(request_, status, wrong):
    first, *lines = request_.format(key=RIGHT).split("\n")
    data = "\r\n".join([f"{first} HTTP/1.1", *lines, "", ""]).encode()
    assert auth.admitted(inputs.Exchange(data), oracle.Outcome(status), RIGHT) == wrong


def test_calls_that_were_let_in_without_the_key():

    def let(method, status="OK", **metadata):
        return auth.admitted(inputs.Call(method, [b""], metadata=list(metadata.items())), oracle.Outcome(status), RIGHT)

    assert let("/drugpred.v1.DrugPrediction/Predict")
    assert let("/drugpred.v1.DrugPrediction/Predict", authorization=f"Bearer {RIGHT}x")
    assert not let("/drugpred.v1.DrugPrediction/Predict", authorization=f"Bearer {RIGHT}")
    assert not let("/drugpred.v1.DrugPrediction/Predict", "UNAUTHENTICATED")
    assert not let("/grpc.health.v1.Health/Check")

    def framed(status, *fields):
        data = frames.call(b"/a/B", b"", fields)
        return auth.admitted(inputs.Exchange(data, port=inputs.Port.GRPC), oracle.Outcome(status), RIGHT)

    assert framed("message")
    assert not framed("headers")
    assert not framed("message", (b"x-api-key", RIGHT.encode()))


@pytest.mark.parametrize("key", ["short", "longer, but not of ASCII alone: \u00e9", "with\nanother line in it"])
def test_keys_that_cannot_be_sent(monkeypatch, capsys, key):
    monkeypatch.setattr("sys.argv", ["fuzz", "--key", key])
    with pytest.raises(SystemExit):
        cli.main()
    assert "expected a key of 16 or more printable ASCII characters" in capsys.readouterr().err


def test_each_family_needs_an_input():
    with pytest.raises(ValueError, match=f"expected {len(cli.FAMILIES)} requests or more"):
        inputs.plan(cli.FAMILIES, 5, 1)


def test_what_is_altered_is_well_formed_before():
    Profile.model_validate_json(bodies.VALID[bodies.PREDICT])
    Batch.model_validate_json(bodies.VALID[bodies.BATCH])
    InferenceRequest.model_validate_json(bodies.VALID[bodies.INFER])


@pytest.mark.parametrize("path", ["/predict", "/predict_batch", "/v2/models/drug_consumption/infer"])
def test_most_of_what_is_made_is_bad(path):
    model = {"/predict": Profile, "/predict_batch": Batch}.get(path, InferenceRequest)
    good = 0
    for i in range(300):
        draw = random.Random(i)
        body = inputs.mutate(draw, bodies.VALID[path]) if i % 2 else bodies.values(draw, path)
        try:
            model.model_validate_json(body)
        except ValueError:
            continue
        good += 1
    assert good < 60


def test_well_framed_requests_have_the_length_that_they_say():
    for family in (*http_inputs.FAMILIES, key_inputs.families(RIGHT)[0]):
        for i in range(3):
            head, _, body = inputs.generate(family, 1, i).data.partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}\r\n".encode() in head + b"\r\n", family.name


def of(name):
    return next(family for family in cli.FAMILIES if family.name == name)


def test_bodies_of_codings_and_marks_are_right_and_wrong():
    bodies = [inputs.generate(of("content codings"), 1, i).data.partition(b"\r\n\r\n")[2] for i in range(200)]
    inflated = [wholly(body) for body in bodies]
    assert any(content is None for content in inflated)
    assert any(
        content and len(content) > 4 * 2**20 and len(body) < 2**20
        for body, content in zip(bodies, inflated, strict=True)
    )
    assert any(content and content.startswith(b"{") for content in inflated)
    marked = [inputs.generate(of("byte order marks"), 1, i).data.partition(b"\r\n\r\n")[2] for i in range(100)]
    for mark in (b"\xef\xbb\xbf{", b"\xff\xfe{", b"{\x00"):
        assert any(body.startswith(mark) for body in marked)


def wholly(body):
    try:
        return zlib.decompress(body, 47)
    except zlib.error:
        return None


def test_a_key_behind_a_body_is_in_no_head():
    (*_, trailers) = key_inputs.families(RIGHT)
    for i in range(50):
        head, *_ = inputs.generate(trailers, 1, i).data.partition(b"\r\n\r\n")
        assert RIGHT.encode() not in head
        assert b"transfer-encoding: chunked" in head
    assert any(RIGHT.encode() in inputs.generate(trailers, 1, i).data for i in range(50))


def test_half_bodies_are_shorter_than_they_say():
    for i in range(50):
        head, _, body = inputs.generate(of("HTTP, half bodies"), 1, i).data.partition(b"\r\n\r\n")
        assert len(body) < int(head.partition(b"content-length: ")[2].split()[0])


@pytest.fixture
def answering():
    """Return what makes servers of one kind of answers, each with its address and how much it could write."""

    def make(answer):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            with listener:
                connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                connection.recv(2**20)
                with suppress(OSError):
                    connection.sendall(answer)
                    while connection.recv(2**20):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()

    return make


def outcome(address, sent):
    async def exchange():
        measured = clock.Clock()
        measuring = asyncio.create_task(measured.run())
        found = await http_client.Connection(inputs.Service(address, address), inputs.Port.HTTP, measured).exchange(
            sent
        )
        measuring.cancel()
        return found

    return asyncio.run(exchange())


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"


@pytest.mark.parametrize(("answers", "fault"), [(1, None), (2, "2 answers to 1 requests")])
def test_a_request_that_is_answered_twice_is_a_fault(answering, answers, fault):
    sent = inputs.generate(of("HTTP, upgrades"), 1, 0)._replace(requests=1)
    assert b"upgrade: " in sent.data
    assert outcome(answering(OK * answers), sent).fault == fault


def test_an_answer_is_left_unread(answering):
    sent = inputs.generate(of("HTTP, unread answers"), 1, 0)
    assert outcome(answering(OK + bytes(2**26)), sent) == ("unread", None)


def answered(status, body, **headers):
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    return oracle.judge_response(Response(status, headers, b"HTTP/1.1\r\n\r\n", content))


SHAPED = {"error": "malformed", "detail": [{"loc": ["age"], "msg": "expected", "type": "missing"}]}


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b"[1]", {}),
        (400, SHAPED, {}),
        (404, {"error": "", "detail": []}, {}),
        (405, None, {}),
        (401, SHAPED, {"www-authenticate": "Bearer"}),
        (403, SHAPED, {}),
        (429, SHAPED, {"retry-after": "1"}),
        (503, SHAPED, {"retry-after": "1"}),
    ],
)
def test_proper_answers(status, body, headers):
    assert answered(status, body, **headers) == (str(status), None)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, SHAPED),
        (503, SHAPED),
        (401, SHAPED),
        (429, SHAPED),
        (400, b"Invalid HTTP request received."),
        (400, [SHAPED]),
        (400, {"error": "malformed"}),
        (400, {"error": "malformed", "detail": ["age"]}),
        (400, {"error": None, "detail": []}),
        (400, b""),
        (400, {"error": "Zq7Marked3", "detail": []}),
        (200, b"Zq7Marked3"),
    ],
)
def test_improper_answers(status, body):
    assert answered(status, body).fault


def test_no_answer_tells_the_key():
    assert oracle.judge_response(Response(200, {}, b"x: " + RIGHT.encode(), b""), RIGHT).fault
    assert oracle.judge_response(Response(200, {}, b"", RIGHT.encode()), RIGHT).fault


def test_the_id_that_v2_gives_back_is_no_fault_and_all_else_is():
    told, mark = {"model_name": "m", "outputs": []}, "Zq7Marked3"
    for answer, is_fault in ((told | {"id": mark}, False), (told | {"version": mark}, True), ({"id": mark}, True)):
        content = json.dumps(answer, separators=(",", ":")).encode()
        assert bool(answered(200, content).fault) is is_fault


@pytest.mark.parametrize(
    ("code", "details", "trailing", "proper"),
    [
        (StatusCode.INVALID_ARGUMENT, "expected a number", b"", True),
        (StatusCode.RESOURCE_EXHAUSTED, None, b"", True),
        (StatusCode.INTERNAL, "", b"", False),
        (StatusCode.UNKNOWN, "", b"", False),
        (StatusCode.NOT_FOUND, "no Zq7Marked3", b"", False),
        (StatusCode.INVALID_ARGUMENT, "", b"x: Zq7Marked3", False),
    ],
)
def test_ends_of_calls(code, details, trailing, proper):
    assert (oracle.judge_call(code, details, trailing).fault is None) == proper


@pytest.fixture
def by_name():
    return {family.name: family for family in cli.FAMILIES}


def test_calls_that_say_nothing_wait_for_the_server_to_end_them(by_name):
    for name in ("gRPC, silent", "gRPC, half messages", "HTTP, silent"):
        assert all(runner._waits(inputs.generate(by_name[name], 1, i)) for i in range(20))
    for name in ("gRPC, streams", "gRPC, answers not taken", "HTTP/2 frames"):
        assert not any(runner._waits(inputs.generate(by_name[name], 1, i)) for i in range(20))
    silent = [inputs.generate(by_name["gRPC, silent"], 1, i).method for i in range(100)]
    assert {"/grpc.health.v1.Health/Check", "/drugpred.v1.DrugPrediction/Predict"} <= set(silent)


def test_a_half_message_is_shorter_than_it_says(by_name):
    for i in range(20):
        data = inputs.generate(by_name["gRPC, half messages"], 1, i).data
        at, message = len(frames.PREFACE), b""
        while at < len(data):
            length, kind, flags = int.from_bytes(data[at : at + 3]), data[at + 3], data[at + 4]
            assert length <= 2**14
            assert not flags & 1  # the stream goes on
            message += data[at + 9 : at + 9 + length] if kind == 0 else b""
            at += 9 + length
        assert at == len(data)
        assert int.from_bytes(message[1:5]) > len(message) - 5


def test_submessages_are_many_and_within_what_grpc_takes(by_name):
    for i in range(10):
        (message,) = inputs.generate(by_name["gRPC, submessages"], 1, i).messages
        assert 1_900_000 < len(message) < 2 * 2**20 + 1_000_000


def frames_of(*sent):
    """Return what becomes of a call of which a server sends these frames, then nothing."""

    async def read():
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(frames.frame(*each) for each in sent))
        return await asyncio.wait_for(http_client._end_of_call(reader, RIGHT), 0.2)

    return asyncio.run(read())


def test_the_end_of_a_call_is_trailers_or_a_reset():
    settings = (4, 0, 0, b"")
    assert frames_of(settings, (1, 5, 1, b"trailers")) == oracle.Outcome("headers")
    assert frames_of(settings, (3, 0, 1, bytes(4))) == oracle.Outcome("stream reset")
    assert frames_of((1, 5, 1, RIGHT.encode())).fault
    with pytest.raises(TimeoutError):
        frames_of(settings, (1, 4, 1, b"headers"))


def test_table_and_faults():
    counts = {"paths": Counter({"404": 1200, "200": 3}), "headers": Counter({"431": 1})}
    assert cli.table(counts).splitlines()[1:] == [
        f"{'headers':26}       1  431 1",
        f"{'paths':26}   1,203  200 3, 404 1,200",
    ]
    faults = [runner.Fault("paths", i, "status 500") for i in range(22)]
    told = cli.fault_lines(faults)
    assert told[0] == '--only "paths" --index 0: status 500'
    assert told[-1] == "paths: 2 more"
    assert len(told) == 21


def test_logs(tmp_path):
    log = tmp_path / "log"
    log.write_text("started\nTraceback (most recent call last):\nPOST Zq7Marked3\n", encoding="utf-8")
    assert cli.log_faults(log) == [f"{log}, line 2: a traceback", f"{log}, line 3: a value that was sent"]
    log.write_text(f"started\nBearer {RIGHT}\n", encoding="utf-8")
    assert cli.log_faults(log, RIGHT) == [f"{log}, line 2: a value that was sent"]
    assert cli.log_faults(log) == []


def test_workers_that_ended_or_grew():
    def holds(rss=100.0, handles=30):
        return process_monitor.Usage(rss, handles, 10)

    def faults(start, middle, end, inputs=50_000):
        return process_monitor.faults({1: start}, {1: middle}, {1: end}, inputs)

    assert faults(holds(), holds(150), holds(160, 40)) == []
    assert "MB of memory" in faults(holds(), holds(), holds(140))[0]
    assert "open files" in faults(holds(), holds(), holds(handles=60))[0]
    assert faults(holds(), holds(), holds(140), inputs=20_000) == []
    assert "open files" in faults(holds(), holds(), holds(handles=60), inputs=5000)[0]
    assert faults(holds(), holds(), holds(handles=60), inputs=100) == []
    assert "ended" in process_monitor.faults({1: holds()}, {1: holds()}, {2: holds()}, 1)[0]


def test_memory_that_comes_and_goes_is_not_judged(monkeypatch):
    monkeypatch.setattr(process_monitor, "_INTERVAL", 0.01)
    me, block = os.getpid(), bytearray(200_000_000)
    for at in range(0, len(block), 4096):
        block[at] = 1
    high = process_monitor.Usage(psutil.Process().memory_info().rss / 1e6, 30, 10)
    with process_monitor.LowestMemory([me, 2**22 + 1]) as lowest:  # the other one has ended
        time.sleep(0.1)
        assert lowest.of({me: high})[me].rss > high.rss - 50
        del block
        time.sleep(0.3)
        found = lowest.of({me: high})[me]
    assert found.rss < high.rss - 150
    assert found[1:] == high[1:]
    assert lowest.of({me: high}) == {me: high}


def test_the_same_answer_but_for_its_last_digits():
    def answer(probability, model="drug_consumption:1"):
        return {"model": model, "risks": [{"drug": "lsd", "probability": probability}]}

    assert process_monitor.same_answer(answer(0.25), answer(0.25 + 1e-16))
    assert not process_monitor.same_answer(answer(0.25), answer(0.2501))
    assert not process_monitor.same_answer(answer(0.25), answer(0.25, "drug_consumption:2"))


def test_the_answer_is_asked_for_again_where_the_limit_was_reached(monkeypatch):
    asked, slept = [], []

    def answer(request):
        asked.append(request.url.path)
        if len(asked) == 2:
            return httpx.Response(429, headers={"retry-after": "3"})
        return httpx.Response(200, json={"risks": []})

    client = httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer))
    monkeypatch.setattr(process_monitor.time, "sleep", slept.append)
    assert process_monitor.predict(client) == {"risks": []}
    assert slept == [3]
    assert asked == ["/readyz", "/predict", "/predict"]


def test_a_port_on_which_no_service_listens():
    with pytest.raises(LookupError, match="expected a `bentoml serve`"):
        process_monitor.usage(1)
