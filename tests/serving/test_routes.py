"""The routes beside the prediction endpoints, on a real model."""

import asyncio
import json
import time

import httpx
import pytest

from drugpred import __version__
from drugpred.bundle import TaggedCard
from drugpred.serving.admission import CALLER
from drugpred.serving.documentation import document
from drugpred.serving.keys import Key, Scope


@pytest.fixture(scope="module")
def request_(bundle, routes_of):
    """Return what a client of the routes gets."""
    routes = routes_of(bundle)

    async def send(method, path):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(routes), base_url="http://test") as client:
            return await client.request(method, path)

    return lambda method, path: asyncio.run(send(method, path))


@pytest.fixture(scope="module")
def get(request_):
    return lambda path: request_("GET", path)


def test_health_tells_what_is_served(get, bundle):
    answer = get("/health").json()
    assert answer.pop("uptime_seconds") >= 0
    assert answer == {"status": "ok", "version": __version__, "model": bundle.tag, "data_source": "uci"}


@pytest.mark.parametrize(("scopes", "told"), [([], 1), ([Scope.PREDICT, Scope.METRICS], 1), ([Scope.READ], 5)])
def test_without_the_scope_health_tells_that_it_is_up_and_no_more(get, scopes, told):
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


def test_the_card_is_the_one_that_was_stored(get, bundle):
    answer = get("/model")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads((bundle.path / "card.json").read_bytes()) | {"model": bundle.tag}
    assert TaggedCard.model_validate_json(answer.content).model == bundle.tag


def test_the_documentation_is_served(get):
    assert get("/docs.json").json() == document()


def test_the_inference_protocol_is_served(get, bundle):
    assert f"drug_consumption:{get('/v2/models/drug_consumption').json()['versions'][0]}" == bundle.tag


@pytest.mark.parametrize("path", ["/health", "/model", "/docs.json", "/v2"])
def test_routes_are_for_reading(request_, path):
    assert request_("HEAD", path).status_code == 200
    assert request_("POST", path).status_code == 405
