"""The one shape of every error, around applications that answer errors in every other."""

import asyncio
import json
from types import SimpleNamespace

import httpx
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from drugpred import codebook
from drugpred.errors import InvalidArgumentError
from drugpred.limits import MAX_UNREAD_BYTES
from drugpred.schemas import Error, Profile, faults
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.capacity import WRITE_BACKLOG
from drugpred.serving.middleware.access import AccessMiddleware
from drugpred.serving.middleware.error_format import ErrorFormatMiddleware
from drugpred.serving.responses import ERROR_HANDLERS, error_response
from drugpred.settings import Settings

PLACE = {"loc": ["profiles", 3, "age"], "msg": "expected 18 or more", "type": "unexpected"}


def request(app, method="GET", path="/", headers=None):
    """What a client of the application gets."""

    async def send():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


def answering(response):
    return Starlette(routes=[Route("/", lambda _: response)])


def shape(response):
    answer = request(ErrorFormatMiddleware(answering(response)))
    assert answer.status_code == response.status_code
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    Error.model_validate_json(answer.content)
    return answer.json()


@pytest.mark.parametrize(
    "response",
    [
        PlainTextResponse("all is well"),
        JSONResponse({"detail": "kept", "other": 1}),
        JSONResponse([1, 2]),
        Response(status_code=204),
        Response(status_code=303, headers={"location": "/"}),
        Response(b"\xff\xfe", media_type="image/png", headers={"x-own": "kept"}),
    ],
    ids=["text", "object", "list", "empty", "redirect", "bytes"],
)
def test_answers_below_400_pass_untouched(response):
    bare, shaped = (request(app) for app in (answering(response), ErrorFormatMiddleware(answering(response))))
    assert len(shaped.headers.pop("x-request-id")) == 32
    assert (shaped.status_code, shaped.headers, shaped.content) == (bare.status_code, bare.headers, bare.content)


def test_streams_pass_piece_by_piece():
    sent = []

    async def pieces():
        for i in range(3):
            sent.append(i)
            yield f"piece {i} "

    answer = request(ErrorFormatMiddleware(answering(StreamingResponse(pieces()))))
    assert (answer.text, sent) == ("piece 0 piece 1 piece 2 ", [0, 1, 2])
    assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (PlainTextResponse("no such thing", 404), "Not Found"),
        (PlainTextResponse("1", 405), "Method Not Allowed"),
        (PlainTextResponse('"text in JSON"', 400), "Bad Request"),
        (Response(status_code=503), "Service Unavailable"),
        (Response(b"\xff\xfe\x00", 500), "Internal Server Error"),
        (JSONResponse({}, 404), "Not Found"),
        (JSONResponse([], 404), "Not Found"),
        (JSONResponse(["text"], 404), "Not Found"),
        (JSONResponse([[]], 404), "Not Found"),
        (JSONResponse(None, 404), "Not Found"),
        (JSONResponse({"error": "no such model"}, 404), "no such model"),
        (JSONResponse([{"error": "as BentoML does"}], 400), "as BentoML does"),
        (JSONResponse({"error": "as BentoML does", "detail": []}, 400), "as BentoML does"),
        (JSONResponse({"detail": "as FastAPI does"}, 404), "Not Found"),
        (JSONResponse({"detail": {"a": 1}}, 400), "Bad Request"),
        (JSONResponse({"detail": None}, 400), "Bad Request"),
        (JSONResponse({"detail": ["text", {"msg": "no place"}]}, 400), "Bad Request"),
        (JSONResponse({"error": None}, 400), "Bad Request"),
        (JSONResponse({"error": {"code": 1}}, 400), "Bad Request"),
        (PlainTextResponse("a status without a name", 499), "error"),
        (PlainTextResponse("a status without a name", 599), "error"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.body.decode(errors="replace"),
)
def test_every_error_gets_the_shape(response, error):
    assert shape(response) == {"error": error, "detail": []}


def test_an_error_with_an_expected_value_keeps_its_message():
    body = {"error": "inputs.openness: expected FP64 or FP32", "detail": [PLACE]}
    assert shape(JSONResponse(body, 400)) == body


def test_malformed_requests_are_reported_by_place_only():
    with pytest.raises(ValidationError) as caught:
        Profile.model_validate({"age": 7654321})
    told = json.loads(error_response(InvalidArgumentError(faults(caught.value))).body)
    Error.model_validate(told)
    assert told["error"] == "the request is malformed"
    assert told["detail"][0] == {
        "loc": ["age"],
        "msg": f"expected {codebook.AGE.expected}",
        "type": "unexpected",
    }
    assert "7654321" not in str(told)


def test_an_error_in_pieces_is_read_whole():
    text = json.dumps({"error": "told late", "detail": []})
    pieces = StreamingResponse((text[i : i + 5] for i in range(0, len(text), 5)), 400)
    assert shape(pieces) == {"error": "told late", "detail": []}


def test_other_headers_are_kept():
    answer = request(
        ErrorFormatMiddleware(answering(PlainTextResponse("later", 503, headers={"retry-after": "7", "allow": "POST"})))
    )
    assert (answer.headers["retry-after"], answer.headers["allow"]) == ("7", "POST")


def test_starlettes_own_errors_get_the_shape():
    def raises(_):
        raise HTTPException(418)

    def fails(_):
        raise RuntimeError("secret")

    app = ErrorFormatMiddleware(
        Starlette(routes=[Route("/", lambda _: Response()), Route("/raises", raises), Route("/fails", fails)])
    )
    assert request(app, path="/nowhere").json() == {"error": "Not Found", "detail": []}
    assert request(app, "POST").json() == {"error": "Method Not Allowed", "detail": []}
    assert request(app, path="/raises").json() == {"error": "I'm a Teapot", "detail": []}
    failed = request(app, path="/fails")
    assert (failed.status_code, failed.json()) == (500, {"error": "Internal Server Error", "detail": []})


def test_there_are_no_redirects_to_invented_paths():
    app = ErrorFormatMiddleware(Starlette(routes=[Route("/known/{name}", lambda _: Response())]))
    answer = request(app, path="/known/1.2345/")
    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found", "detail": []})
    assert "1.2345" not in str(answer.headers)


def test_an_error_that_starlette_answers_and_raises_is_answered_once(caplog):
    def fails(_):
        raise RuntimeError("1.2345")

    sent = []

    async def send(message):
        sent.append(message["type"])

    app = ErrorFormatMiddleware(Starlette(routes=[Route("/", fails)]))
    scope = {"type": "http", "path": "/", "method": "GET", "headers": [], "query_string": b"", "root_path": ""}
    asyncio.run(app(scope, None, send))
    assert sent == ["http.response.start", "http.response.body"]
    assert "RuntimeError" in caplog.text
    assert "1.2345" not in caplog.text


def test_an_answer_that_is_too_much_is_refused_wherever_it_is_made(monkeypatch):
    class Full:
        def get_write_buffer_size(self):
            return MAX_UNREAD_BYTES

    async def bare(scope, receive, send):
        await PlainTextResponse("much")(scope, receive, send)

    monkeypatch.setattr(WRITE_BACKLOG, "transports", {Full()})
    routed = Starlette(routes=[Route("/", lambda _: PlainTextResponse("much"))], exception_handlers=ERROR_HANDLERS)
    service = SimpleNamespace(access=AccessPolicy.from_settings(Settings()))
    for app in (bare, routed):
        answer = request(ErrorFormatMiddleware(AccessMiddleware(app, lambda: service)))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json() == {"error": "overloaded; try again later", "detail": []}


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_other_scopes_pass_unchanged(kind):
    async def receive():
        raise AssertionError

    async def send(message):
        raise AssertionError

    passed = []

    async def app(*arguments):
        passed.extend(arguments)

    scope = {"type": kind}
    asyncio.run(ErrorFormatMiddleware(app)(scope, receive, send))
    assert passed == [scope, receive, send]


def test_an_exception_is_answered_at_once_and_logged_without_its_message(caplog):
    async def raising(scope, receive, send):
        raise ArithmeticError("1.2345")

    answer = request(ErrorFormatMiddleware(raising))
    assert (answer.status_code, answer.json()) == (500, {"error": "Internal Server Error", "detail": []})
    assert "ArithmeticError" in caplog.text
    assert "1.2345" not in caplog.text


def test_an_exception_in_an_answer_breaks_it_off(caplog):
    async def raising(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ArithmeticError("1.2345")

    async def send(message):
        pass

    with pytest.raises(ConnectionAbortedError) as caught:
        asyncio.run(ErrorFormatMiddleware(raising)({"type": "http", "headers": []}, None, send))
    assert caught.value.__suppress_context__
    assert "ArithmeticError" in caplog.text
    assert "1.2345" not in caplog.text


def test_every_answer_has_the_id_of_its_request(monkeypatch):
    class Full:
        def get_write_buffer_size(self):
            return MAX_UNREAD_BYTES

    async def raising(scope, receive, send):
        raise ArithmeticError

    shared = PlainTextResponse("one of all requests", headers={"x-own": "kept"})
    apps = [answering(shared), answering(PlainTextResponse("no", 404)), raising]
    apps += [Starlette(routes=[Route("/other", lambda _: shared)])]
    shaped = [ErrorFormatMiddleware(app) for app in apps]

    def answers():
        return [request(app, headers={"x-request-id": f"id{place}"}) for place, app in enumerate(shaped)]

    for _ in range(2):
        assert [each.headers.get_list("x-request-id") for each in answers()] == [[f"id{n}"] for n in range(4)]
    monkeypatch.setattr(WRITE_BACKLOG, "transports", {Full()})
    busy = answers()[0]
    assert (busy.status_code, busy.headers["x-request-id"]) == (503, "id0")


def test_an_id_cannot_add_a_header():
    answer = request(ErrorFormatMiddleware(answering(Response())), headers={"x-request-id": b"a\r\nset-cookie: b"})
    assert len(answer.headers["x-request-id"]) == 32
    assert "set-cookie" not in answer.headers
