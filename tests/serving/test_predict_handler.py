"""POST /predict within uvicorn's protocol: the requests answered there, and those that go to the middleware."""

import asyncio
import json
from hashlib import sha256
from types import SimpleNamespace

import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.util.http import ExcludeList
from starlette.middleware.cors import CORSMiddleware

from drugpred.limits import MAX_BODY_BYTES_EACH
from drugpred.schemas import EXAMPLE, Profile
from drugpred.scoring import Scorer
from drugpred.serving import patches
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.capacity import WRITE_BACKLOG
from drugpred.serving.middleware.access import AccessMiddleware
from drugpred.serving.middleware.error_format import ErrorFormatMiddleware
from drugpred.serving.middleware.fast_path import FastPathMiddleware, ValidationMiddleware
from drugpred.serving.middleware.shutdown import GracefulShutdown
from drugpred.serving.patches import request_metrics
from drugpred.serving.predict_handler import PredictHandler
from drugpred.serving.predictions import PredictionService
from drugpred.settings import Settings

BODY = json.dumps(EXAMPLE).encode()
KEYS = ";".join(
    f"{name} {scope} {sha256(name.encode()).hexdigest()}"
    for name, scope in [("alice", "predict"), ("probe", "metrics")]
)


class Counts:
    def __init__(self):
        self.begun = 0

    def begin(self):
        self.begun += 1

    def end(self, seconds):
        pass


@pytest.fixture(scope="module")
def predictions(stored_model):
    return PredictionService(Scorer(stored_model))


def handler_of(predictions, bodies=None, **settings):
    access = AccessPolicy.from_settings(Settings(**settings))
    worker = SimpleNamespace(shutdown=GracefulShutdown())
    service = SimpleNamespace(predictions=predictions, access=access, worker=worker)
    return PredictHandler(service, Counts(), bodies or AccessMiddleware(None).bodies)


def ask(handler, body=BODY, **headers):
    """Return the answer to a request: its head and its content, or None if it is not taken."""

    async def send():
        reply = asyncio.get_running_loop().create_future()
        named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
        if not handler.begin(body, named, reply):
            assert handler._counts.begun == 0
            return None
        ((answer,),) = [await reply]
        head, _, content = answer.partition(b"\r\n\r\n")
        return head.split(b"\r\n"), content

    return asyncio.run(send())


def test_a_profile_is_answered_as_by_the_middleware(predictions):
    (length, request_id), content = ask(handler_of(predictions), x_request_id=b"of-the-caller")
    assert (length, request_id) == (b"content-length: %d" % len(content), b"x-request-id: of-the-caller")
    expected = json.loads(asyncio.run(predictions.predict(Profile.model_validate(EXAMPLE))))
    assert json.loads(content) | {"prediction_id": ""} == expected | {"prediction_id": ""}


def test_requests_that_come_together_are_one_batch_and_each_gets_its_own_answer(predictions, monkeypatch):
    handler, sizes = handler_of(predictions), []
    call = predictions.batcher._call
    monkeypatch.setattr(predictions.batcher, "_call", lambda items: sizes.append(len(items)) or call(items))

    async def send():
        replies = [asyncio.get_running_loop().create_future() for _ in range(3)]
        for drug, reply in zip(["lsd", "crack", "heroin"], replies, strict=True):
            assert handler.begin(json.dumps(EXAMPLE | {"drugs": [drug]}).encode(), {}, reply)
        handler.finish()
        assert all(reply.done() for reply in replies)
        return [json.loads(reply.result()[0].partition(b"\r\n\r\n")[2])["risks"][0]["drug"] for reply in replies]

    assert asyncio.run(send()) == ["lsd", "crack", "heroin"]
    assert sizes == [3]


@pytest.mark.parametrize("content", [b"", b"{", b"\xef\xbb\xbf" + BODY, json.dumps(EXAMPLE | {"age": 3}).encode()])
def test_a_body_that_is_not_valid_as_it_is_is_left_to_the_middleware(predictions, content):
    assert ask(handler_of(predictions), content) is None


def test_slow_profiles_are_left_to_the_middleware(predictions):
    body = json.dumps(EXAMPLE | {"include": ["explanation"]}).encode()
    assert ask(handler_of(predictions), body) is None


def test_with_as_much_as_may_wait_requests_are_left_to_the_middleware(predictions, monkeypatch):
    monkeypatch.setattr(predictions.batcher._limiter, "held", 20_000)
    assert ask(handler_of(predictions)) is None


def test_callers_with_a_key_are_answered_up_to_their_rate(predictions):
    handler = handler_of(predictions, api_keys=KEYS, rate_limit="2/hour")
    assert ask(handler_of(predictions, api_keys=KEYS), authorization=b"Bearer alice")
    for headers in ({}, {"x_api_key": b"probe"}, {"x_api_key": b"other"}, {"authorization": b"Bearer other"}):
        assert ask(handler, **headers) is None
    answers = []
    for _ in range(3):
        handler._counts.begun = 0
        answers.append(ask(handler, x_api_key=b"alice"))
    assert [answer is not None for answer in answers] == [True, True, False]


def test_without_keys_a_rate_limit_needs_the_address_and_thus_the_middleware(predictions):
    assert ask(handler_of(predictions, rate_limit="2/hour")) is None


def test_it_is_closed_while_the_worker_ends_and_while_answers_are_not_read(predictions, monkeypatch):
    handler = handler_of(predictions)
    assert handler.is_open()
    monkeypatch.setattr(WRITE_BACKLOG, "transports", {object()})
    assert not handler.is_open()
    monkeypatch.setattr(WRITE_BACKLOG, "transports", set())
    handler._shutdown.started = True
    assert not handler.is_open()


async def application(scope, receive, send):
    pass


def fast_path(app=application):
    return FastPathMiddleware(app, lambda: None)


def traced(app, excluded):
    return OpenTelemetryMiddleware(app, excluded_urls=ExcludeList([excluded]))


def test_it_takes_nothing_while_the_middleware_holds_all_bodies_of_a_caller(predictions):
    bodies = AccessMiddleware(None).bodies
    handler = handler_of(predictions, bodies)
    assert handler.is_open()
    bodies.acquire(MAX_BODY_BYTES_EACH - 4, "alice")
    assert not handler.is_open()
    bodies.release(MAX_BODY_BYTES_EACH - 4, "alice")
    assert handler.is_open()


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (AccessMiddleware(fast_path()), True),
        (fast_path(), False),
        (traced(ErrorFormatMiddleware(AccessMiddleware(CORSMiddleware(fast_path()))), ".*"), True),
        (traced(ErrorFormatMiddleware(AccessMiddleware(fast_path())), "livez,readyz,metrics"), False),
        (ErrorFormatMiddleware(SimpleNamespace(app=fast_path())), False),  # such as an access log
        (AccessMiddleware(ValidationMiddleware(application)), False),  # the fast path is off
        (application, False),
    ],
)
def test_it_is_used_with_the_middleware_that_it_stands_in_for_alone(predictions, monkeypatch, app, expected):
    monkeypatch.setattr(patches, "_applied", {"request_metrics": request_metrics})
    running = request_metrics.RequestMetricsMiddleware(app, "bentoml_service", [])
    running._answered = {("/predict", 200): (None, None)}
    running._in_progress = {"/predict": None}
    service = SimpleNamespace(predictions=predictions, access=None, worker=SimpleNamespace(shutdown=None))
    monkeypatch.setattr(request_metrics.RequestMetricsMiddleware, "running", running)
    assert (PredictHandler.of(service) is not None) == expected
    monkeypatch.setattr(request_metrics.RequestMetricsMiddleware, "running", None)
    assert PredictHandler.of(service) is None
