"""POST /predict, answered before BentoML's routing."""

import asyncio
import json

import httpx
import pytest

from drugpred.schemas import EXAMPLE, Prediction, Predictions
from drugpred.scoring import Scorer
from drugpred.serving.express import Express, Line


async def behind(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"passed on"})


@pytest.fixture(scope="module")
def ask(bundle):
    line = Line()
    line.connect(Scorer(bundle))
    application = Express(behind, line)

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
