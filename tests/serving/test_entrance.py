"""HTTP requests enter admitted, whole and not too long."""

import asyncio
import json
from hashlib import sha256

import httpx
import pytest
from prometheus_client import REGISTRY

from drugpred.schemas import Error
from drugpred.serving.admission import Admission
from drugpred.serving.documentation import document
from drugpred.serving.entrance import LONGEST, Door, Entrance
from drugpred.serving.load import MOST_BYTES
from drugpred.settings import Settings

KEYS = ";".join(f"{scope} {scope} {sha256(scope.encode()).hexdigest()}" for scope in ("predict", "read", "metrics"))


async def echo(scope, receive, send):
    """Answer what was read, which is one message, and then what comes after it."""
    message = await receive() if scope["method"] == "POST" else {}
    assert not message.get("more_body")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message.get("body", b"")})


def asking(app=echo, **settings):
    """Return what sends requests to an application behind the entrance."""
    door = Door()
    door.connect(Admission.of(Settings(**settings)))

    def ask(method="POST", path="/predict", **content):
        async def one():
            transport = httpx.ASGITransport(Entrance(app, door))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **content)

        return asyncio.run(one())

    ask.door = door
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


@pytest.mark.parametrize(
    ("path", "most"), [*LONGEST.items(), ("/predict_batch", 4 << 20), ("/v2/models/any/infer", 4 << 20)]
)
def test_a_body_that_is_too_long_is_refused(path, most):
    ask = asking()
    assert ask(path=path, content=b" " * most).status_code == 200
    assert refused(ask(path=path, content=b" " * (most + 1))) == (413, f"expected {most} bytes or fewer")
    assert refused(ask(path=path, content=parts(most + 1000))) == (413, f"expected {most} bytes or fewer")


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
    ask.door.bodies.take(MOST_BYTES - 10)
    answer = ask(content=b" " * 11)
    assert refused(answer) == (503, "overloaded; try again later")
    assert answer.headers["retry-after"] == "1"
    for _ in range(3):
        assert ask(content=b" " * 10).status_code == 200


def test_what_raises_gives_back_what_it_held():
    async def fails(scope, receive, send):
        raise RuntimeError("a fault")

    ask = asking(fails)
    ask.door.bodies.take(MOST_BYTES - 10)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            ask(content=b" " * 10)


def test_a_client_that_leaves_is_not_answered():
    async def leaving():
        return {"type": "http.disconnect"}

    async def never(*_):
        raise AssertionError

    door = Door()
    door.connect(Admission.of(Settings()))
    scope = {"type": "http", "path": "/predict", "method": "POST", "headers": [], "client": None}
    asyncio.run(Entrance(never, door)(scope, leaving, never))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer predict"},
        {"authorization": "bearer  predict "},
        {"x-api-key": "predict"},
        {"X-API-KEY": "predict"},
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
        "/v2",
        "/v2/models/a",
        "/v2/models/a/versions/b",
        "/app/report/index.html",
    ],
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
def test_what_tells_of_nobody_is_open(path):
    assert asking(api_keys=KEYS)("GET", path).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/predict/", "/Predict", "/assets/x.js", "/v2/models", "/v2/", "/apps"])
def test_what_is_unknown_wants_any_key(path):
    ask = asking(api_keys=KEYS)
    assert ask(path=path).status_code == 401
    assert ask(path=path, headers={"x-api-key": "metrics"}).status_code == 200


def test_every_documented_path_is_thought_of():
    open_or_scoped = {path for paths in SCOPES.values() for path in paths} | set(OPEN) | {"/feedback"}
    named = {path.replace("drug_consumption", "a").replace("{version}", "b") for path in document()["paths"]}
    assert named <= open_or_scoped


def test_who_asks_too_often_waits():
    before = REGISTRY.get_sample_value("drugpred_limited_total", {"limit": "rate"}) or 0
    ask = asking(rate_limit="2/hour")
    assert [ask().status_code for _ in range(3)] == [200, 200, 429]
    answer = ask()
    assert refused(answer) == (429, "too many requests; try again later")
    assert 1 <= int(answer.headers["retry-after"]) <= 7200
    assert ask("GET", "/livez").status_code == ask("GET", "/metrics").status_code == 200
    assert REGISTRY.get_sample_value("drugpred_limited_total", {"limit": "rate"}) == before + 2


def test_what_is_no_request_is_passed_on():
    seen = []

    async def application(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(Entrance(application, Door())({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


def test_the_key_is_not_in_any_answer():
    ask = asking(api_keys=KEYS)
    secret = "s3cr3t-key"
    for path in ("/predict", "/nothing", "/metrics"):
        answer = ask(path=path, headers={"authorization": f"Bearer {secret}"})
        assert secret not in json.dumps(dict(answer.headers)) + answer.text
