"""The routes besides the prediction endpoints, on a real model."""

import asyncio
import json
import time

import httpx
import pytest

from drugpred import __version__
from drugpred.model_store import NAME, TaggedCard
from drugpred.serving import endpoints
from drugpred.serving.access.api_keys import Key, Scope
from drugpred.serving.access.policy import CALLER
from drugpred.serving.openapi import build


@pytest.fixture(scope="module")
def request_(stored_model, app_of):
    """Return the answers of the routes."""
    routes = app_of(stored_model)

    async def send(method, path):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(routes), base_url="http://test") as client:
            return await client.request(method, path)

    return lambda method, path: asyncio.run(send(method, path))


@pytest.fixture(scope="module")
def get(request_):
    return lambda path: request_("GET", path)


def test_every_route_is_in_the_table(stored_model, app_of):
    routes = {route.path.replace("{model}", NAME) for route in app_of(stored_model).routes}
    assert [path for path in routes if not endpoints.find(path).path] == []
    described = {endpoint.path for endpoint in endpoints.ENDPOINTS if endpoint.summary}
    bentomls = {"/predict", "/predict_batch", "/livez", "/healthz", "/readyz", "/metrics"}
    assert described - routes == bentomls


def test_health_has_the_served_model(get, stored_model):
    answer = get("/health").json()
    assert answer.pop("uptime_seconds") >= 0
    assert answer == {"status": "ok", "version": __version__, "model": stored_model.tag, "data_source": "uci"}


@pytest.mark.parametrize(("scopes", "told"), [([], 1), ([Scope.PREDICT, Scope.METRICS], 1), ([Scope.READ], 5)])
def test_without_the_scope_health_has_only_the_status(get, scopes, told):
    reset = CALLER.set(Key("caller", frozenset(scopes)))
    try:
        answer = get("/health")
    finally:
        CALLER.reset(reset)
    assert (answer.status_code, answer.json()["status"], len(answer.json())) == (200, "ok", told)


def test_uptime_grows(get):
    first = get("/health").json()["uptime_seconds"]
    time.sleep(0.01)
    assert get("/health").json()["uptime_seconds"] > first


def test_the_card_is_the_one_that_was_stored(get, stored_model):
    answer = get("/model")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads((stored_model.path / "card.json").read_bytes()) | {"model": stored_model.tag}
    assert TaggedCard.model_validate_json(answer.content).model == stored_model.tag


def test_the_documentation_is_served(get):
    assert get("/docs.json").json() == build()


def test_the_inference_protocol_is_served(get, stored_model):
    assert f"drug_consumption:{get('/v2/models/drug_consumption').json()['versions'][0]}" == stored_model.tag


@pytest.mark.parametrize("path", ["/health", "/model", "/docs.json", "/v2"])
def test_routes_are_for_reading(request_, path):
    assert request_("HEAD", path).status_code == 200
    assert request_("POST", path).status_code == 405
