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

RIGHT = "right-key-of-this-test"


@pytest.fixture
def inputs(module):
    return module("hostile/inputs")


@pytest.fixture
def trying(module):
    return module("hostile/trying")


@pytest.fixture
def judgement(module):
    return module("hostile/judgement")


@pytest.fixture
def watched(module):
    return module("hostile/watched")


def test_the_same_seed_makes_the_same_inputs(inputs, trying):
    planned = inputs.plan(trying.FAMILIES, 300, 1)
    assert len(planned) == 300
    assert {family.name for family, _ in planned} == {family.name for family in trying.FAMILIES}
    assert planned == inputs.plan(trying.FAMILIES, 300, 1) != inputs.plan(trying.FAMILIES, 300, 2)
    small = [(family, i) for family, i in planned if not family.alone]
    assert [inputs.made(family, 1, i) for family, i in small] == [inputs.made(family, 1, i) for family, i in small]
    others = [inputs.made(family, 2, i) == inputs.made(family, 1, i) for family, i in small]
    assert sum(others) < len(others) / 4


def test_the_key_comes_with_nine_inputs_of_ten(inputs, trying, module):
    presenting, frames = module("hostile/presenting"), module("hostile/frames")
    with_key = Counter()
    for family, i in inputs.plan([one for one in trying.FAMILIES if not one.alone], 3000, 1):
        sent, same = (presenting.presenting(family, 1, i, RIGHT) for _ in range(2))
        assert sent == same
        bare = inputs.made(family, 1, i)
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
    opening = frames.called(b"/a/B", b"message", [])
    assert frames.fielded(opening, (b"x-api-key", b"k")) == frames.called(b"/a/B", b"message", [(b"x-api-key", b"k")])
    assert frames.fielded(b"no frames", (b"x-api-key", b"k")) == b"no frames"


def test_keys_are_wrong_in_many_ways(inputs, module):
    http, rpc, _ = module("hostile/key_inputs").families(RIGHT)
    requests = [inputs.made(http, 1, i).data for i in range(500)]
    calls = [inputs.made(rpc, 1, i) for i in range(500)]
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
def test_requests_that_were_let_in_without_the_key(inputs, judgement, module, request_, status, wrong):
    first, *lines = request_.format(key=RIGHT).split("\n")
    data = "\r\n".join([f"{first} HTTP/1.1", *lines, "", ""]).encode()
    let_in = module("hostile/presenting").let_in
    assert let_in(inputs.Exchange(data), judgement.Outcome(status), RIGHT) == wrong


def test_calls_that_were_let_in_without_the_key(inputs, judgement, module):
    let_in, frames = module("hostile/presenting").let_in, module("hostile/frames")

    def let(method, status="OK", **metadata):
        return let_in(inputs.Call(method, [b""], metadata=list(metadata.items())), judgement.Outcome(status), RIGHT)

    assert let("/drugpred.v1.DrugPrediction/Predict")
    assert let("/drugpred.v1.DrugPrediction/Predict", authorization=f"Bearer {RIGHT}x")
    assert not let("/drugpred.v1.DrugPrediction/Predict", authorization=f"Bearer {RIGHT}")
    assert not let("/drugpred.v1.DrugPrediction/Predict", "UNAUTHENTICATED")
    assert not let("/grpc.health.v1.Health/Check")

    def framed(status, *fields):
        data = frames.called(b"/a/B", b"", fields)
        return let_in(inputs.Exchange(data, port=inputs.Port.GRPC), judgement.Outcome(status), RIGHT)

    assert framed("message")
    assert not framed("headers")
    assert not framed("message", (b"x-api-key", RIGHT.encode()))


@pytest.mark.parametrize("key", ["short", "longer, but not of ASCII alone: \u00e9", "with\nanother line in it"])
def test_keys_that_cannot_be_sent(module, trying, monkeypatch, capsys, key):
    monkeypatch.setattr("sys.argv", ["hostile", "--key", key])
    with pytest.raises(SystemExit):
        trying.main()
    assert "expected a key of 16 or more printable ASCII characters" in capsys.readouterr().err


def test_each_family_needs_an_input(inputs, trying):
    with pytest.raises(ValueError, match=f"expected {len(trying.FAMILIES)} requests or more"):
        inputs.plan(trying.FAMILIES, 5, 1)


def test_what_is_altered_is_well_formed_before(module):
    bodies = module("hostile/bodies")
    Profile.model_validate_json(bodies.VALID[bodies.PREDICT])
    Batch.model_validate_json(bodies.VALID[bodies.BATCH])
    InferenceRequest.model_validate_json(bodies.VALID[bodies.INFER])


@pytest.mark.parametrize("path", ["/predict", "/predict_batch", "/v2/models/drug_consumption/infer"])
def test_most_of_what_is_made_is_bad(module, path):
    bodies, inputs = module("hostile/bodies"), module("hostile/inputs")
    model = {"/predict": Profile, "/predict_batch": Batch}.get(path, InferenceRequest)
    good = 0
    for i in range(300):
        draw = random.Random(i)
        body = inputs.mutated(draw, bodies.VALID[path]) if i % 2 else bodies.values(draw, path)
        try:
            model.model_validate_json(body)
        except ValueError:
            continue
        good += 1
    assert good < 60


def test_well_framed_requests_have_the_length_that_they_say(inputs, trying):
    for family in (*trying.http_inputs.FAMILIES, trying.key_inputs.families(RIGHT)[0]):
        for i in range(3):
            head, _, body = inputs.made(family, 1, i).data.partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}\r\n".encode() in head + b"\r\n", family.name


def of(trying, name):
    return next(family for family in trying.FAMILIES if family.name == name)


def test_bodies_of_codings_and_marks_are_right_and_wrong(inputs, trying):
    bodies = [inputs.made(of(trying, "content codings"), 1, i).data.partition(b"\r\n\r\n")[2] for i in range(200)]
    inflated = [wholly(body) for body in bodies]
    assert any(content is None for content in inflated)
    assert any(
        content and len(content) > 4 * 2**20 and len(body) < 2**20
        for body, content in zip(bodies, inflated, strict=True)
    )
    assert any(content and content.startswith(b"{") for content in inflated)
    marked = [inputs.made(of(trying, "byte order marks"), 1, i).data.partition(b"\r\n\r\n")[2] for i in range(100)]
    for mark in (b"\xef\xbb\xbf{", b"\xff\xfe{", b"{\x00"):
        assert any(body.startswith(mark) for body in marked)


def wholly(body):
    try:
        return zlib.decompress(body, 47)
    except zlib.error:
        return None


def test_a_key_behind_a_body_is_in_no_head(inputs, trying, module):
    (*_, trailers) = module("hostile/key_inputs").families(RIGHT)
    for i in range(50):
        head, *_ = inputs.made(trailers, 1, i).data.partition(b"\r\n\r\n")
        assert RIGHT.encode() not in head
        assert b"transfer-encoding: chunked" in head
    assert any(RIGHT.encode() in inputs.made(trailers, 1, i).data for i in range(50))


def test_half_bodies_are_shorter_than_they_say(inputs, trying):
    for i in range(50):
        head, _, body = inputs.made(of(trying, "HTTP, half bodies"), 1, i).data.partition(b"\r\n\r\n")
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


def outcome(module, inputs, address, sent):
    async def exchange():
        clock = module("hostile/clock").Clock()
        measuring = asyncio.create_task(clock.run())
        found = await module("hostile/http_client").Connection(*address, clock).exchange(sent)
        measuring.cancel()
        return found

    return asyncio.run(exchange())


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"


@pytest.mark.parametrize(("answers", "fault"), [(1, None), (2, "2 answers to 1 requests")])
def test_a_request_that_is_answered_twice_is_a_fault(module, inputs, trying, answering, answers, fault):
    sent = inputs.made(of(trying, "HTTP, upgrades"), 1, 0)._replace(requests=1)
    assert b"upgrade: " in sent.data
    assert outcome(module, inputs, answering(OK * answers), sent).fault == fault


def test_an_answer_is_left_unread(module, inputs, trying, answering):
    sent = inputs.made(of(trying, "HTTP, unread answers"), 1, 0)
    assert outcome(module, inputs, answering(OK + bytes(2**26)), sent) == ("unread", None)


def answered(judgement, status, body, **headers):
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    return judgement.of_http(judgement.Answer(status, headers, b"HTTP/1.1\r\n\r\n", content))


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
def test_proper_answers(judgement, status, body, headers):
    assert answered(judgement, status, body, **headers) == (str(status), None)


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
def test_improper_answers(judgement, status, body):
    assert answered(judgement, status, body).fault


def test_no_answer_tells_the_key(judgement):
    assert judgement.of_http(judgement.Answer(200, {}, b"x: " + RIGHT.encode(), b""), RIGHT).fault
    assert judgement.of_http(judgement.Answer(200, {}, b"", RIGHT.encode()), RIGHT).fault


def test_the_id_that_v2_gives_back_is_no_fault_and_all_else_is(judgement):
    told, mark = {"model_name": "m", "outputs": []}, "Zq7Marked3"
    for answer, is_fault in ((told | {"id": mark}, False), (told | {"version": mark}, True), ({"id": mark}, True)):
        content = json.dumps(answer, separators=(",", ":")).encode()
        assert bool(answered(judgement, 200, content).fault) is is_fault


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
def test_ends_of_calls(judgement, code, details, trailing, proper):
    assert (judgement.of_rpc(code, details, trailing).fault is None) == proper


@pytest.fixture
def by_name(trying):
    return {family.name: family for family in trying.FAMILIES}


def test_calls_that_say_nothing_wait_for_the_server_to_end_them(by_name, inputs, module):
    waits = module("hostile/sending")._waits
    for name in ("gRPC, silent", "gRPC, half messages", "HTTP, silent"):
        assert all(waits(inputs.made(by_name[name], 1, i)) for i in range(20))
    for name in ("gRPC, streams", "gRPC, answers not taken", "HTTP/2 frames"):
        assert not any(waits(inputs.made(by_name[name], 1, i)) for i in range(20))
    silent = [inputs.made(by_name["gRPC, silent"], 1, i).method for i in range(100)]
    assert {"/grpc.health.v1.Health/Check", "/drugpred.v1.DrugPrediction/Predict"} <= set(silent)


def test_a_half_message_is_shorter_than_it_says(by_name, inputs, module):
    frames = module("hostile/frames")
    for i in range(20):
        data = inputs.made(by_name["gRPC, half messages"], 1, i).data
        at, message = len(frames.PREFACE), b""
        while at < len(data):
            length, kind, flags = int.from_bytes(data[at : at + 3]), data[at + 3], data[at + 4]
            assert length <= 2**14
            assert not flags & 1  # the stream goes on
            message += data[at + 9 : at + 9 + length] if kind == 0 else b""
            at += 9 + length
        assert at == len(data)
        assert int.from_bytes(message[1:5]) > len(message) - 5


def test_submessages_are_many_and_within_what_grpc_takes(by_name, inputs):
    for i in range(10):
        (message,) = inputs.made(by_name["gRPC, submessages"], 1, i).messages
        assert 1_900_000 < len(message) < 2 * 2**20 + 1_000_000


def frames_of(module, *frames):
    """Return what becomes of a call of which a server sends these frames, then nothing."""
    client, frame = module("hostile/http_client"), module("hostile/frames").frame

    async def read():
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(frame(*each) for each in frames))
        return await asyncio.wait_for(client._end_of_call(reader, RIGHT), 0.2)

    return asyncio.run(read())


def test_the_end_of_a_call_is_trailers_or_a_reset(module, judgement):
    settings = (4, 0, 0, b"")
    assert frames_of(module, settings, (1, 5, 1, b"trailers")) == judgement.Outcome("headers")
    assert frames_of(module, settings, (3, 0, 1, bytes(4))) == judgement.Outcome("stream reset")
    assert frames_of(module, (1, 5, 1, RIGHT.encode())).fault
    with pytest.raises(TimeoutError):
        frames_of(module, settings, (1, 4, 1, b"headers"))


def test_table_and_faults(module, trying):
    sending = module("hostile/sending")
    counts = {"paths": Counter({"404": 1200, "200": 3}), "headers": Counter({"431": 1})}
    assert trying.table(counts).splitlines()[1:] == [
        f"{'headers':26}       1  431 1",
        f"{'paths':26}   1,203  200 3, 404 1,200",
    ]
    faults = [sending.Fault("paths", i, "status 500") for i in range(22)]
    told = trying.lines(faults)
    assert told[0] == '--only "paths" --index 0: status 500'
    assert told[-1] == "paths: 2 more"
    assert len(told) == 21


def test_logs(trying, tmp_path):
    log = tmp_path / "log"
    log.write_text("started\nTraceback (most recent call last):\nPOST Zq7Marked3\n", encoding="utf-8")
    assert trying.of_log(log) == [f"{log}, line 2: a traceback", f"{log}, line 3: a value that was sent"]
    log.write_text(f"started\nBearer {RIGHT}\n", encoding="utf-8")
    assert trying.of_log(log, RIGHT) == [f"{log}, line 2: a value that was sent"]
    assert trying.of_log(log) == []


def test_workers_that_ended_or_grew(watched):
    def held(rss=100.0, handles=30):
        return watched.Held(rss, handles, 10)

    def told(start, middle, end, inputs=50_000):
        return watched.told({1: start}, {1: middle}, {1: end}, inputs)

    assert told(held(), held(150), held(160, 40)) == []
    assert "MB of memory" in told(held(), held(), held(140))[0]
    assert "open files" in told(held(), held(), held(handles=60))[0]
    assert told(held(), held(), held(140), inputs=20_000) == []
    assert "open files" in told(held(), held(), held(handles=60), inputs=5000)[0]
    assert told(held(), held(), held(handles=60), inputs=100) == []
    assert "ended" in watched.told({1: held()}, {1: held()}, {2: held()}, 1)[0]


def test_memory_that_comes_and_goes_is_not_judged(watched, monkeypatch):
    monkeypatch.setattr(watched, "_INTERVAL", 0.01)
    me, block = os.getpid(), bytearray(200_000_000)
    for at in range(0, len(block), 4096):
        block[at] = 1
    high = watched.Held(psutil.Process().memory_info().rss / 1e6, 30, 10)
    with watched.Lowest([me, 2**22 + 1]) as lowest:  # the other one has ended
        time.sleep(0.1)
        assert lowest.of({me: high})[me].rss > high.rss - 50
        del block
        time.sleep(0.3)
        found = lowest.of({me: high})[me]
    assert found.rss < high.rss - 150
    assert found[1:] == high[1:]
    assert lowest.of({me: high}) == {me: high}


def test_the_same_answer_but_for_its_last_digits(watched):
    def answer(probability, model="drug_consumption:1"):
        return {"model": model, "risks": [{"drug": "lsd", "probability": probability}]}

    assert watched.same(answer(0.25), answer(0.25 + 1e-16))
    assert not watched.same(answer(0.25), answer(0.2501))
    assert not watched.same(answer(0.25), answer(0.25, "drug_consumption:2"))


def test_the_answer_is_asked_for_again_where_the_limit_was_reached(watched, monkeypatch):
    asked, slept = [], []

    def answer(request):
        asked.append((request.url.path, request.headers["authorization"]))
        if len(asked) == 2:
            return httpx.Response(429, headers={"retry-after": "3"})
        return httpx.Response(200, json={"risks": []})

    client = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **of: client(transport=httpx.MockTransport(answer), **of))
    monkeypatch.setattr(watched.time, "sleep", slept.append)
    assert watched.answers("http://service", RIGHT) == {"risks": []}
    assert slept == [3]
    assert [path for path, _ in asked] == ["/readyz", "/predict", "/predict"]
    assert {key for _, key in asked} == {f"Bearer {RIGHT}"}


def test_a_port_on_which_no_service_listens(watched):
    with pytest.raises(LookupError, match="expected a `bentoml serve`"):
        watched.held("http://127.0.0.1:1")
