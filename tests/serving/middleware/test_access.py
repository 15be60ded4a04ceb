"""HTTP requests enter admitted, whole and not too long."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from hashlib import sha256
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client import REGISTRY

from drugpred.limits import MAX_BODY_BYTES
from drugpred.schemas import Error
from drugpred.serving import endpoints
from drugpred.serving.access.api_keys import Scope
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.middleware.access import AccessMiddleware
from drugpred.serving.openapi import build
from drugpred.settings import Settings

KEYS = ";".join(f"{scope} {scope} {sha256(scope.encode()).hexdigest()}" for scope in Scope)
HOST = (b"host", b"test")
LONGEST = {path: endpoints.find(path).max_body_bytes for path in ("/predict", "/predict_batch", "/feedback")}


async def echo(scope, receive, send):
    """Answer with the received body, a single message, if the path takes one."""
    takes = scope["method"] == "POST" and endpoints.find(scope["path"]).max_body_bytes
    message = await receive() if takes else {}
    assert not message.get("more_body")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message.get("body", b"")})


def service(**settings):
    """What returns a service with the policy of some settings."""
    policy = AccessPolicy.from_settings(Settings(**settings))
    return lambda: SimpleNamespace(access=policy)


def asking(app=echo, **settings):
    """Return a function that sends requests to an application with the middleware."""
    access = AccessMiddleware(app, service(**settings))

    def ask(method="POST", path="/predict", **content):
        async def one():
            transport = httpx.ASGITransport(access)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **content)

        return asyncio.run(one())

    ask.bodies = access.bodies
    return ask


async def parts(size, of=1000):
    for _ in range(size // of):
        yield b" " * of


def refused(answer):
    error = Error.model_validate_json(answer.content)
    assert error.detail == []
    return answer.status_code, error.error


def test_a_body_in_parts_is_one_message():
    answer = asking()(content=parts(5000, of=7))
    assert (answer.status_code, len(answer.content)) == (200, 4998)


@pytest.mark.parametrize(("path", "most"), [*LONGEST.items(), ("/v2/models/any/infer", 4 << 20)])
def test_a_body_that_is_too_long_is_refused(path, most):
    ask = asking()
    assert ask(path=path, content=b" " * most).status_code == 200
    assert refused(ask(path=path, content=b" " * (most + 1))) == (413, f"expected at most {most} bytes")
    assert refused(ask(path=path, content=parts(most + 1000))) == (413, f"expected at most {most} bytes")


def test_a_body_without_an_end_is_not_read_to_it():
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1000

    assert asking()(path="/feedback", content=endless()).status_code == 413
    assert sent < 10


def test_more_bodies_than_can_be_held_are_refused_and_given_back():
    ask = asking()
    ask.bodies.acquire(MAX_BODY_BYTES - 10, None)
    answer = ask(content=b" " * 11)
    assert refused(answer) == (503, "overloaded; try again later")
    assert answer.headers["retry-after"] == "1"
    for _ in range(3):
        assert ask(content=b" " * 10).status_code == 200


def test_an_exception_gives_capacity_back():
    async def fails(scope, receive, send):
        raise RuntimeError("a fault")

    ask = asking(fails)
    ask.bodies.acquire(MAX_BODY_BYTES - 10, None)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            ask(content=b" " * 10)


def passed(path="/predict", method="POST", headers=(), receive=None, **settings):
    """Send one request without a client in between; return its status, and what of bodies is held meanwhile."""
    seen = []

    async def answer(scope, receive, send):
        seen.append(access.bodies.held)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        if message["type"] == "http.response.start":
            seen.insert(0, message["status"])

    scope = {"type": "http", "path": path, "method": method, "headers": [*headers], "client": ("192.0.2.1", 1)}
    access = AccessMiddleware(answer, service(**settings))
    asyncio.run(access(scope | {"http_version": "1.1"}, receive or unread, send))
    return seen


async def unread():
    raise AssertionError("the body was read")


async def nothing():
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/health", "/v2/models/a/ready", "/", "/app", "/metrics", "/model", "/nothing"]
)
def test_where_a_path_takes_no_body_none_is_read_or_held(path, method):
    assert passed(path, method, [HOST, (b"content-length", b"4194304")]) == [200, 0]


@pytest.mark.parametrize("key", [[], [(b"x-api-key", b"wrong")], [(b"x-api-key", b"read")]])
@pytest.mark.parametrize("path", ["/predict", "/predict_batch", "/v2/models/a/infer"])
def test_no_body_is_read_before_its_caller_is_admitted(path, key):
    assert passed(path, headers=[HOST, *key], api_keys=KEYS)[0] in {401, 403}


def test_a_length_that_is_too_long_is_refused_before_a_byte_of_it():
    assert passed(headers=[HOST, (b"content-length", b"65537")]) == [413]


@pytest.mark.parametrize("name", [b"host", b"authorization", b"x-api-key", b"content-encoding"])
def test_a_header_that_decides_comes_once(name):
    headers = [HOST, (b"authorization", b"Bearer predict"), (b"x-api-key", b"predict"), (b"content-encoding", b"")]
    twice = [*headers, (name, b"predict")]
    assert passed(headers=twice, api_keys=KEYS, receive=nothing) == [400]
    more = [*headers, (b"cookie", b"a"), (b"cookie", b"b")]
    assert passed(headers=more, api_keys=KEYS, receive=nothing)[0] == 200


def test_a_host_is_named():
    assert passed("/livez", "GET") == [400]
    assert passed("/livez", "GET", [HOST])[0] == 200


CODINGS = {"gzip": gzip.compress, "GZIP": gzip.compress, "deflate": zlib.compress, "identity": bytes, "": bytes}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [0, 1, 60_000])
def test_a_body_may_be_compressed(coding, size):
    body = bytes(i % 251 for i in range(size))
    answer = asking()(content=CODINGS[coding](body), headers={"content-encoding": coding})
    assert (answer.status_code, answer.content) == (200, body)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("path", ["/predict", "/feedback", "/v2/models/a/infer"])
def test_a_body_that_inflates_beyond_the_bound_is_refused(path, coding):
    most = LONGEST.get(path, 4 << 20)
    ask = asking()
    for size, status in ((most, 200), (most + 1, 413), (20 * most, 413)):
        packed = CODINGS[coding](bytes(size))
        assert ask(path=path, content=packed, headers={"content-encoding": coding}).status_code == status
    assert ask.bodies.held == 0


def test_memory_for_decompression_is_bounded():
    packed = gzip.compress(bytes(50 << 20))
    tracemalloc.start()
    try:
        answer = asking()(path="/predict_batch", content=packed, headers={"content-encoding": "gzip"})
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert most < 20 << 20


def test_decompressed_bytes_count_towards_the_limit_of_all():
    packed = gzip.compress(bytes(60_000))

    async def held(scope, receive, send):
        message = await receive()
        assert len(message["body"]) == 60_000
        assert ask.bodies.held == 60_000 + len(packed)
        await echo(scope, nothing, send)

    ask = asking(held)
    assert ask(content=packed, headers={"content-encoding": "gzip"}).status_code == 200
    ask.bodies.acquire(MAX_BODY_BYTES - 10_000, None)
    assert ask(content=packed, headers={"content-encoding": "gzip"}).status_code == 503
    assert ask.bodies.held == MAX_BODY_BYTES - 10_000


@pytest.mark.parametrize(
    "body", [b"", b"{}", gzip.compress(b"{}", mtime=0)[:-1], gzip.compress(b"{}", mtime=0) + b"x", b"\x1f\x8b"]
)
def test_a_damaged_body_is_refused(body):
    refusal = refused(asking()(content=body, headers={"content-encoding": "gzip"}))
    assert refusal == (400, "expected one complete gzip stream")


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "x" * 500])
def test_other_codings_are_refused_by_the_names_of_those_that_are_taken(coding):
    answer = asking()(content=b"{}", headers={"content-encoding": coding})
    assert refused(answer) == (415, "expected the content-encoding gzip, deflate or identity")
    assert answer.headers["accept-encoding"] == "gzip, deflate"


def test_a_client_that_leaves_is_not_answered():
    async def leaving():
        return {"type": "http.disconnect"}

    async def never(*_):
        raise AssertionError

    scope = {"type": "http", "http_version": "1.1", "path": "/predict", "method": "POST", "client": None}
    scope["headers"] = [HOST]
    asyncio.run(AccessMiddleware(never, service())(scope, leaving, never))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer predict"},
        {"authorization": "bearer  predict "},
        {"x-api-key": "predict"},
        {"X-API-KEY": "predict"},
        {"x-api-key": " predict \t"},
        {"authorization": "Bearer predict \t "},
        {"authorization": "Basic cHJveHk6cHJveHk=", "x-api-key": "predict"},
    ],
)
def test_a_key_comes_in_either_header(headers):
    assert asking(api_keys=KEYS)(headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "predict"},
        {"authorization": "Basic cHJlZGljdA=="},
        {"authorization": "Basic cHJlZGljdA==", "x-api-key": "wrong"},
        {"authorization": "Bearer"},
        {"x-api-key": ""},
        {"authorization": "Bearer \u00e4".encode("latin-1")},
        {"authorization": "Bearer wrong", "x-api-key": "predict"},
    ],
)
def test_without_a_known_key_nobody_enters(headers):
    answer = asking(api_keys=KEYS)(headers=headers)
    assert refused(answer) == (401, "expected an API key, as Authorization: Bearer or X-API-Key")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["key", "api_key", "apikey", "x-api-key", "access_token", "authorization"])
def test_a_key_in_the_query_lets_nobody_in(name):
    assert asking(api_keys=KEYS)(path=f"/predict?{name}=predict").status_code == 401


def test_a_key_of_another_scope_is_not_enough():
    assert refused(asking(api_keys=KEYS)(headers={"x-api-key": "read"})) == (
        403,
        "expected an API key with the scope predict",
    )


SCOPES = {
    "predict": ["/predict", "/predict_batch", "/v2/models/a/infer", "/v2/models/a/versions/b/infer"],
    "read": [
        "/model",
        "/drift",
        "/challenger",
        "/v2",
        "/v2/models/a",
        "/v2/models/a/versions/b",
        "/app/report/index.html",
    ],
    "feedback": ["/feedback"],
    "metrics": ["/metrics"],
}
OPEN = [
    *("/", "/docs.json", "/schema.json", "/app", "/app/main.js", "/static_content/swagger-ui.css"),
    *("/livez", "/readyz", "/healthz", "/health", "/v2/health/live", "/v2/health/ready"),
    *("/v2/models/a/ready", "/v2/models/a/versions/b/ready"),
]


@pytest.mark.parametrize(("scope", "path"), [(scope, path) for scope, paths in SCOPES.items() for path in paths])
def test_each_path_has_its_scope(scope, path):
    ask = asking(api_keys=KEYS)
    assert {key: ask(path=path, headers={"x-api-key": key}).status_code for key in SCOPES} == {
        key: 200 if key == scope else 403 for key in SCOPES
    }
    assert ask(path=path).status_code == 401


@pytest.mark.parametrize("path", OPEN)
def test_static_content_is_open(path):
    assert asking(api_keys=KEYS)("GET", path).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/predict/", "/Predict", "/assets/x.js", "/v2/models", "/v2/", "/apps"])
def test_unknown_paths_need_any_key(path):
    ask = asking(api_keys=KEYS)
    assert ask(path=path).status_code == 401
    assert ask(path=path, headers={"x-api-key": "metrics"}).status_code == 200


def test_every_documented_path_is_thought_of():
    open_or_scoped = {path for paths in SCOPES.values() for path in paths} | set(OPEN)
    named = {path.replace("drug_consumption", "a").replace("{version}", "b") for path in build()["paths"]}
    assert named <= open_or_scoped


def test_a_caller_over_the_rate_limit_waits():
    before = REGISTRY.get_sample_value("drugpred_limited_total", {"limit": "rate"}) or 0
    ask = asking(rate_limit="2/hour")
    assert [ask().status_code for _ in range(3)] == [200, 200, 429]
    answer = ask()
    assert refused(answer) == (429, "too many requests; try again later")
    assert 1 <= int(answer.headers["retry-after"]) <= 7200
    assert ask("GET", "/livez").status_code == ask("GET", "/metrics").status_code == 200
    assert REGISTRY.get_sample_value("drugpred_limited_total", {"limit": "rate"}) == before + 2


def test_scopes_other_than_http_are_passed_on():
    seen = []

    async def application(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(AccessMiddleware(application, service())({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


def test_the_key_is_not_in_any_answer():
    ask = asking(api_keys=KEYS)
    secret = "s3cr3t-key"
    for path in ("/predict", "/nothing", "/metrics"):
        answer = ask(path=path, headers={"authorization": f"Bearer {secret}"})
        assert secret not in json.dumps(dict(answer.headers)) + answer.text
