"""What generates and judges bad requests, without a service."""

import json
import random
from collections import Counter

import pytest
from grpc import StatusCode

from drugpred.schemas import Batch, Profile
from drugpred.serving.inference_messages import InferenceRequest


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
    for family in trying.http_inputs.FAMILIES:
        for i in range(3):
            head, _, body = inputs.made(family, 1, i).data.partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}\r\n".encode() in head + b"\r\n", family.name


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


def test_the_same_answer_but_for_its_last_digits(watched):
    def answer(probability, model="drug_consumption:1"):
        return {"model": model, "risks": [{"drug": "lsd", "probability": probability}]}

    assert watched.same(answer(0.25), answer(0.25 + 1e-16))
    assert not watched.same(answer(0.25), answer(0.2501))
    assert not watched.same(answer(0.25), answer(0.25, "drug_consumption:2"))


def test_a_port_on_which_no_service_listens(watched):
    with pytest.raises(LookupError, match="expected a `bentoml serve`"):
        watched.held("http://127.0.0.1:1")
