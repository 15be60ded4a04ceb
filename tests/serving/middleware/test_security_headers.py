"""Headers for browsers."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from drugpred.serving.middleware.security_headers import SecurityHeadersMiddleware, cors


def ask(app, method="GET", path="/", **headers):
    async def one():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(one())


@pytest.fixture
def app():
    def own(_):
        return PlainTextResponse("own", headers={"Content-Security-Policy": "default-src 'self'"})

    return Starlette(
        routes=[Route("/", lambda _: PlainTextResponse("plain"), methods=["GET", "POST"]), Route("/own", own)]
    )


def test_answers_to_get_let_nothing_be_loaded_or_framed(app):
    headers = ask(SecurityHeadersMiddleware(app)).headers
    assert headers["content-security-policy"].startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"


def test_an_answers_own_policy_stays(app):
    headers = ask(SecurityHeadersMiddleware(app), path="/own").headers
    assert headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert headers["x-content-type-options"] == "nosniff"


def test_errors_have_them_too(app):
    answer = ask(SecurityHeadersMiddleware(app), path="/nothing")
    assert (answer.status_code, answer.headers["x-content-type-options"]) == (404, "nosniff")


def test_answers_to_post_are_left_alone(app):
    assert "x-content-type-options" not in ask(SecurityHeadersMiddleware(app), "POST").headers


def test_no_other_site_may_ask(app):
    assert cors(app) is app


def test_the_sites_that_are_set_may_ask(app, monkeypatch):
    monkeypatch.setenv("DRUGPRED_CORS_ORIGINS", "https://one.example, https://two.example")
    shared = cors(app)
    for origin in ("https://one.example", "https://two.example"):
        assert ask(shared, origin=origin).headers["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in ask(shared, origin="https://three.example").headers
    assert "x-request-id" in ask(shared, origin="https://one.example").headers["access-control-expose-headers"]
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,authorization"}
    assert ask(shared, "OPTIONS", origin="https://one.example", **asked).status_code == 200
    assert ask(shared, "OPTIONS", origin="https://three.example", **asked).status_code == 400
