"""Which answers are proper."""

import json

import pytest
from grpc import StatusCode

from loadtest.fuzz import oracle
from loadtest.harness.http1 import Response
from tests.loadtest.fuzz.conftest import RIGHT


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


def test_no_answer_contains_the_key():
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
