"""POST /feedback over HTTP, of a real model's answers."""

import asyncio
import json
import logging
import time
from dataclasses import replace
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from drugpred.codebook import DRUGS
from drugpred.monitoring.feedback import prediction_id as module
from drugpred.monitoring.feedback.dedup import SqliteTokenStore
from drugpred.monitoring.feedback.prediction_id import MAX_AGE, PredictionIdSigner, new_key
from drugpred.monitoring.feedback.service import FeedbackService
from drugpred.schemas import Error
from drugpred.selection import select
from drugpred.serving.feedback import FeedbackEndpoint
from drugpred.serving.middleware.error_format import ErrorFormatMiddleware
from drugpred.serving.responses import ERROR_HANDLERS

KEY = new_key()


@pytest.fixture
def tokens(stored_model):
    return PredictionIdSigner.of(KEY, stored_model)


@pytest.fixture
def token(tokens):
    return tokens.sign(np.full((1, 18, 6), 0.3), [select("month", frozenset(DRUGS))])[0]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "feedback"


@pytest.fixture
def send(stored_model, tokens, folder):
    """Return the answers to requests that are sent at the same time."""
    seen = SqliteTokenStore(folder)
    service = SimpleNamespace(feedback=FeedbackService(tokens, seen, stored_model.card))
    route = Route("/feedback", FeedbackEndpoint(lambda: service).post, methods=["POST"])
    app = ErrorFormatMiddleware(Starlette(routes=[route], exception_handlers=ERROR_HANDLERS))

    async def together(method, contents):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await asyncio.gather(*(client.request(method, "/feedback", content=each) for each in contents))

    yield lambda *contents, method="POST": asyncio.run(together(method, contents))
    seen.close()


def body(token, **outcomes):
    return json.dumps({"prediction_id": token, "outcomes": outcomes or {"lsd": True}})


def refusal(answer):
    """Return the status, the place and the type of an error in the error format."""
    assert answer.headers["content-type"] == "application/json"
    error = Error.model_validate_json(answer.content, strict=True)
    assert error.error
    return answer.status_code, [(detail.loc, detail.type) for detail in error.detail]


def test_feedback_is_taken_once(send, token):
    (answer,) = send(body(token, lsd=True, crack=False))
    assert (answer.status_code, answer.headers["content-type"], answer.json()) == (
        200,
        "application/json",
        {"accepted": 2},
    )
    assert refusal(*send(body(token))) == (409, [(["prediction_id"], "repeated")])


def test_of_many_at_once_one_is_taken(send, token):
    assert sorted(answer.status_code for answer in send(*[body(token)] * 20)) == [200] + [409] * 19


def test_each_mistake_has_its_status(send, token, stored_model, tokens, monkeypatch):
    question = [select("day", frozenset(["lsd"]))]
    probabilities = np.full((1, 18, 6), 0.3)
    (foreign,) = PredictionIdSigner.of(KEY, replace(stored_model, tag="drug_consumption:other")).sign(
        probabilities, question
    )
    (other_key,) = PredictionIdSigner.of(new_key(), stored_model).sign(probabilities, question)
    (only_lsd,) = tokens.sign(probabilities, question)
    assert refusal(*send("{")) == (400, [([], "json_invalid")])
    assert refusal(*send(body("9d1842766d1c49e8"))) == (400, [(["prediction_id"], "string_pattern_mismatch")])
    assert refusal(*send(body(token, lsd=1))) == (400, [(["outcomes", "lsd"], "bool_type")])
    assert refusal(*send(body(only_lsd, crack=True))) == (400, [(["outcomes", "crack"], "malformed")])
    assert refusal(*send(body(foreign))) == (400, [(["prediction_id"], "foreign")])
    assert refusal(*send(body(other_key))) == (400, [(["prediction_id"], "forged")])
    later = time.time() + MAX_AGE + 10
    monkeypatch.setattr(module.time, "time", lambda: later)
    assert refusal(*send(body(token))) == (410, [(["prediction_id"], "expired")])


def test_a_broken_disk_is_no_mistake_of_the_caller(send, token, folder):
    folder.write_text("a file")
    (answer,) = send(body(token))
    assert refusal(answer) == (503, [([], "failed")])
    assert int(answer.headers["retry-after"]) > 0
    folder.unlink()
    assert send(body(token))[0].status_code == 200


def test_feedback_is_posted(send):
    assert send("", method="GET")[0].status_code == 405


def test_nothing_that_was_sent_is_shown_or_logged(send, token, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    contents = [
        body("marked"),
        body("marked" * 16),
        body(token, marked=True),
        body(token, lsd="marked"),
        json.dumps({"prediction_id": token, "outcomes": {"lsd": True}, "marked": "marked"}),
        "marked",
        "marked" * 1000,
        body(token),
        body(token),
    ]
    for content in contents:
        (answer,) = send(content)
        assert "marked" not in answer.text
        assert token not in answer.text
    printed = capfd.readouterr()
    logged = "".join(record.getMessage() for record in caplog.records) + printed.out + printed.err
    assert "marked" not in logged
    assert token not in logged


def test_a_byte_order_mark_is_passed_over_and_another_encoding_is_named(send, token):
    text = body(token)
    (answer,) = send(text.encode("utf-16"))
    assert (answer.status_code, [each["msg"] for each in answer.json()["detail"]]) == (400, ["expected JSON in UTF-8"])
    (answer,) = send(text.encode("utf-8-sig"))
    assert answer.json() == {"accepted": 1}
