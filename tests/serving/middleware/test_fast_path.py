"""POST /predict, answered before BentoML's routing."""

import asyncio
import codecs
import json
from types import SimpleNamespace

import httpx
import pytest

from drugpred.limits import MAX_PROFILES, SLICE_PROFILES
from drugpred.schemas import EXAMPLE, Prediction, Predictions
from drugpred.scoring import Scorer
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.middleware.access import AccessMiddleware
from drugpred.serving.middleware.fast_path import FastPathMiddleware
from drugpred.serving.predictions import PredictionService
from drugpred.settings import Settings


async def behind(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"passed on"})


def middleware_of(predictions):
    """The middlewares as they answer errors."""
    service = SimpleNamespace(predictions=predictions, access=AccessPolicy.from_settings(Settings()))
    return AccessMiddleware(FastPathMiddleware(behind, lambda: service), lambda: service)


@pytest.fixture(scope="module")
def ask(stored_model):
    application = middleware_of(PredictionService(Scorer(stored_model)))

    def send(method="POST", path="/predict", **content):
        async def one():
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **content)

        return asyncio.run(one())

    return send


def test_a_profile_is_answered(ask):
    answer = ask(json=EXAMPLE)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert len(Prediction.model_validate_json(answer.content).risks) == 18


def test_a_batch_is_answered_in_its_order(ask):
    people = [EXAMPLE | {"openness": openness, "drugs": ["lsd"]} for openness in (-1.0, 0.0, 1.0)]
    explained = people[1] | {"include": ["explanation"]}
    one_by_one = [ask(json=person).json()["risks"][0]["probability"] for person in people]
    for batch in (people, [people[0], explained, people[2]]):
        answer = ask(path="/predict_batch", json={"profiles": batch})
        assert answer.status_code == 200
        assert [each["risks"][0]["probability"] for each in answer.json()] == pytest.approx(one_by_one, abs=1e-12)
        Predictions.model_validate_json(answer.content)
    assert [("explanation" in each["risks"][0]) for each in answer.json()] == [False, True, False]


@pytest.mark.parametrize("profiles", [[], [EXAMPLE] * 1001, [EXAMPLE, EXAMPLE | {"age": 7654321}], None])
def test_a_malformed_batch_is_refused(ask, profiles):
    answer = ask(path="/predict_batch", json={"profiles": profiles})
    assert answer.status_code == 400
    assert answer.json()["detail"][0]["loc"][0] == "profiles"
    assert "7654321" not in answer.text


def test_an_explanation_is_answered(ask):
    answer = ask(json={**EXAMPLE, "drugs": ["lsd"], "include": ["explanation"]})
    (risk,) = Prediction.model_validate_json(answer.content).risks
    assert len(risk["explanation"]["contributions"]) == 12


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", json.dumps({**EXAMPLE, "age": 7654321}).encode()])
def test_a_malformed_body_is_refused_without_its_values(ask, content):
    answer = ask(content=content)
    assert answer.status_code == 400
    assert answer.json()["error"] == "the request is malformed"
    assert all(set(detail) == {"loc", "msg", "type"} for detail in answer.json()["detail"])
    assert "7654321" not in answer.text


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/predict"), ("POST", "/predict/"), ("GET", "/predict_batch"), ("POST", "/model")]
)
def test_all_else_is_passed_on(ask, method, path):
    assert ask(method, path).status_code == 299


BODIES = {"/predict": EXAMPLE, "/predict_batch": {"profiles": [EXAMPLE]}}


@pytest.mark.parametrize("path", BODIES)
def test_a_byte_order_mark_is_passed_over_and_other_encodings_are_named(ask, path):
    text = json.dumps(BODIES[path])
    assert ask(path=path, content=codecs.BOM_UTF8 + text.encode()).status_code == 200
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        answer = ask(path=path, content=text.encode(encoding))
        assert answer.status_code == 400
        assert answer.json()["detail"] == [{"loc": [], "msg": "expected JSON in UTF-8", "type": "json_invalid"}]


def asgi(path, body, leaves=False):
    """Return the scope of a request, and what gives its body and then that its client left."""
    messages = [{"type": "http.request", "body": json.dumps(body).encode()}]

    async def receive():
        if messages:
            return messages.pop()
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": path, "client": ("192.0.2.1", 1), "http_version": "1.1"}
    scope["headers"] = [(b"host", b"test")]
    return scope, receive


def test_the_end_of_a_client_ends_the_explanations_that_it_asked_for(stored_model):
    explained, sent = [], []

    class Counting(Scorer):
        def predict(self, profiles):
            explained.append(profiles)
            return super().predict(profiles)

    async def send(message):
        sent.append(message)

    predictions = PredictionService(Counting(stored_model))
    body = {"profiles": [EXAMPLE | {"include": ["explanation"]}] * 100}

    async def ask():
        await asyncio.wait_for(middleware_of(predictions)(*asgi("/predict_batch", body, leaves=True), send), 10)
        await asyncio.sleep(0.1)

    asyncio.run(ask())
    assert len(explained) < 5
    assert sent == []


def test_large_batches_take_turns_and_others_get_theirs_in_between(stored_model):
    predictions, calls = PredictionService(Scorer(stored_model)), []
    predict = predictions.batcher._call

    def recorded(profiles):
        calls.append(len(profiles))
        return predict(profiles)

    predictions.batcher._call = recorded
    express = middleware_of(predictions)
    body = {"profiles": [EXAMPLE | {"drugs": ["lsd"]}] * MAX_PROFILES}
    answers = {}

    async def ask(name, path, body):
        async def send(message):
            answers.setdefault(name, b"")
            answers[name] += message.get("body", b"")

        await express(*asgi(path, body), send)
        calls.append(name)

    async def all_of_them():
        large = [asyncio.create_task(ask(name, "/predict_batch", body)) for name in "ab"]
        while len(calls) < 2:
            await asyncio.sleep(0)
        await ask("small", "/predict", EXAMPLE)
        await asyncio.gather(*large)

    asyncio.run(all_of_them())
    slices = MAX_PROFILES // SLICE_PROFILES
    assert max(size for size in calls if isinstance(size, int)) <= SLICE_PROFILES
    assert calls.index("small") <= 5  # as soon as the slice that had begun was done
    assert calls.index("a") in {slices + 1, slices + 2}
    assert {name: len(json.loads(answers[name])) for name in "ab"} == dict.fromkeys("ab", MAX_PROFILES)
