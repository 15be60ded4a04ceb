"""Tests of HTTP only."""

import json
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest

from drugpred.codebook import SUPPORT_LEVELS
from drugpred.errors import (
    DeadlineExceededError,
    Detail,
    InvalidRequestError,
    PermissionDeniedError,
    RateLimitedError,
    ServiceError,
    UnavailableError,
    error_body,
)
from drugpred.schemas import EXAMPLE, Batch, Profile


@pytest.fixture
def client(make, http_service):
    with make(http_service.url) as client:
        yield client


def test_profiles_are_sent_as_the_service_reads_them(client, http_service):
    asked = EXAMPLE | {"drugs": ["lsd"], "window": "week", "include": ["windows"], "scale": "raw"}
    asked |= dict.fromkeys(["nscore", "escore", "oscore", "ascore", "cscore"], 37)
    asked = {name: value for name, value in asked.items() if name not in list(EXAMPLE)[5:10]}
    client.predict(asked)
    client.predict_batch([asked, EXAMPLE])
    (one, first), (many, second) = http_service.requests
    assert (one, many) == ("/predict", "/predict_batch")
    assert Profile.model_validate_json(first) == Profile(**asked)
    assert Batch.model_validate_json(second) == Batch(profiles=[asked, EXAMPLE])


def test_a_stream_is_sent_in_parts_that_the_service_takes(client, http_service):
    row = [1, 0, 6, 5, 6, 0.31, -0.58, 1.24, -0.3, -0.14, 0.53, 0.77]
    list(client.stream([np.tile(row, (2001, 1))], drugs=["lsd", "alcohol"], window="year"))
    batches = [Batch.model_validate_json(body) for _, body in http_service.requests]
    assert [len(batch.profiles) for batch in batches] == [1000, 1000, 1]
    assert batches[2].profiles == [Profile(**EXAMPLE, drugs=["lsd", "alcohol"], window="year")]


@pytest.mark.parametrize(("scheme", "expected"), [("http", False), ("HTTP", False), ("https", True), ("HTTPS", True)])
def test_certificates_are_read_for_https_alone(make, monkeypatch, scheme, expected):
    read = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: read.append(True))
    with make(f"{scheme}://localhost:1"):
        assert bool(read) is expected


ROWS = np.array([[1, 0, 6, 5, 6, 0.31, -0.58, 1.24, -0.3, -0.14, 0.53, 0.77]])


def test_intervals_and_support_are_columns_of_a_stream(client, http_service):
    person = http_service.answer(0, ["alcohol", "lsd"])
    person.support = {"similar": 27, "percentile": 8, "level": "thin"}
    for risk in person.risks:
        risk["interval"] = {"low": 0.25, "high": 0.75}
    second, first = (risk["probability"] for risk in person.risks)
    support = [27, 8, SUPPORT_LEVELS.index("thin")]
    for include, expected in (
        (["interval"], [first, 0.25, 0.75, second, 0.25, 0.75]),
        (["support"], [first, second, *support]),
        (["interval", "support"], [first, 0.25, 0.75, second, 0.25, 0.75, *support]),
    ):
        http_service.script.append((200, {}, json.dumps([person.model_dump()]).encode()))
        (table,) = client.stream([ROWS], drugs=["lsd", "alcohol"], include=include)
        assert table.tolist() == [expected]


@pytest.mark.parametrize("include", ["interval", "support"])
def test_a_stream_of_a_service_that_knows_no_additions_is_reported(client, http_service, include):
    http_service.script.append((200, {}, json.dumps([http_service.answer(0).model_dump()]).encode()))
    with pytest.raises(ServiceError, match="of another version of drugpred"):
        list(client.stream([ROWS], include=[include]))


def test_a_stream_without_a_drug_is_reported(client, http_service):
    http_service.script.append((200, {}, json.dumps([http_service.answer(0, ["lsd"]).model_dump()]).encode()))
    with pytest.raises(ServiceError, match="of another version of drugpred"):
        list(client.stream([ROWS], drugs=["lsd", "alcohol"]))


@pytest.mark.parametrize(("status", "error"), [(429, RateLimitedError), (503, UnavailableError)])
@pytest.mark.parametrize("asked", ["7", "date"])
def test_no_attempt_comes_before_the_service_asks_for_it(client, http_service, waits, status, error, asked):
    if asked == "date":
        asked = format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True)
    http_service.script.extend([(status, {"retry-after": asked}, b"")] * 2)
    assert client.predict(EXAMPLE)
    assert len(waits) == 2
    assert all(5 < wait <= 11 for wait in waits)


def test_a_wait_that_is_too_long_is_reported(make, http_service, waits):
    http_service.script.append((429, {"retry-after": "30"}, b""))
    with make(http_service.url, timeout=20) as client, pytest.raises(RateLimitedError) as raised:
        client.predict(EXAMPLE)
    assert raised.value.retry_after == 30
    assert waits == []


@pytest.mark.parametrize("asked", ["", "soon", "-5", "1.5", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_an_invalid_retry_time_is_not_waited_for(client, http_service, waits, asked):
    http_service.script.append((503, {"retry-after": asked}, b""))
    assert client.predict(EXAMPLE)
    assert 0 <= waits[0] <= 0.5


def test_refusals_report_all_mistakes(client, http_service):
    faults = [{"loc": ["profiles", 3, "age"], "msg": "expected 18 or more", "type": "unexpected"}]
    body = json.dumps({"error": "the request is malformed", "detail": faults}).encode()
    http_service.script.append((400, {}, body))
    with pytest.raises(InvalidRequestError, match=r"(?m)malformed: profiles\.3\.age: expected 18 or more$") as raised:
        client.predict(EXAMPLE)
    assert raised.value.detail == (Detail(("profiles", 3, "age"), "expected 18 or more"),)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": "Bad Request", "detail": []}'])
def test_refusals_of_others_are_reported_too(client, http_service, body):
    http_service.script.append((400, {}, body))
    with pytest.raises(InvalidRequestError, match="Bad Request"):
        client.predict(EXAMPLE)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (504, DeadlineExceededError),
        (404, ServiceError),
        (401, PermissionDeniedError),
        (403, PermissionDeniedError),
        (307, ServiceError),
    ],
)
def test_other_statuses(client, http_service, waits, status, error):
    http_service.script.append((status, {"location": "/elsewhere"}, b""))
    with pytest.raises(error, match=str(status)) as raised:
        client.predict(EXAMPLE)
    assert type(raised.value) is error
    assert len(http_service.requests) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b'{"risks": [{"probability": "0.7318462"}]}', b"\xff"])
@pytest.mark.parametrize("name", ["predict", "predict_batch", "model"])
def test_a_malformed_answer_is_reported_without_its_content(client, http_service, name, body):
    body = b"{}" if (name, body) == ("predict_batch", b"[]") else body
    http_service.script.append((200, {}, body))
    arguments = {"predict": [EXAMPLE], "predict_batch": [[EXAMPLE]], "model": []}[name]
    with pytest.raises(ServiceError, match="the answer is malformed") as raised:
        getattr(client, name)(*arguments)
    assert "7318462" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_connection_that_breaks_is_tried_again(client, http_service, waits):
    http_service.script.append(http_service.HANG_UP)
    assert client.predict(EXAMPLE)
    assert len(waits) == 1


def test_other_failures_are_not_tried_again(client, http_service, waits):
    http_service.script.append((200, {"content-encoding": "gzip"}, b"{}"))
    with pytest.raises(ServiceError, match="DecodingError"):
        client.predict(EXAMPLE)
    assert waits == []


TOKEN = "A" * 96


def test_feedback(client, http_service):
    assert client.feedback(TOKEN, {"lsd": True, "crack": np.bool_(False)}) == 2
    ((path, body),) = http_service.requests
    assert (path, json.loads(body)) == (
        "/feedback",
        {"prediction_id": TOKEN, "outcomes": {"lsd": True, "crack": False}},
    )


@pytest.mark.parametrize(
    ("token", "outcomes", "where"),
    [("short", {"lsd": True}, "prediction_id"), (TOKEN, {"tea": True}, "outcomes"), (TOKEN, {"lsd": "no"}, "lsd")],
)
def test_invalid_feedback_is_not_sent(client, http_service, token, outcomes, where):
    with pytest.raises(InvalidRequestError, match=where):
        client.feedback(token, outcomes)
    assert http_service.requests == []


def test_drift(client, http_service):
    assert client.drift().model_dump() == http_service.drift
    assert http_service.requests == [("/drift", b"")]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, PermissionDeniedError),
        (403, PermissionDeniedError),
        (409, ServiceError),
        (413, ServiceError),
        (429, RateLimitedError),
        (503, UnavailableError),
        (504, DeadlineExceededError),
    ],
)
def test_the_services_own_text_and_id_are_in_the_error(make, http_service, waits, status, error):
    body = error_body("expected what the hint says")
    http_service.script.append((status, {"x-request-id": "of the service"}, body))
    with (
        make(http_service.url, retries=0) as client,
        pytest.raises(error, match=f"{status}.*: expected what") as raised,
    ):
        client.drift()
    assert raised.value.request_id == "of the service"


def test_the_text_of_a_fault_is_not_shown(client, http_service):
    http_service.script.append((500, {}, error_body("KeyError: 0.31")))
    with pytest.raises(ServiceError) as raised:
        client.drift()
    assert str(raised.value) == "the service answered 500 Internal Server Error"
