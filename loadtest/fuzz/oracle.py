"""Checks whether an answer is a valid answer to a bad request."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from grpc import StatusCode

from loadtest.fuzz.inputs import KEY, MARK

if TYPE_CHECKING:
    from loadtest.harness.http1 import Response

SECONDS: Final = 1.0  # time for an answer
SILENCE: Final = 12.0
"""Time to end a request whose client falls silent: the 10 seconds that it may take to arrive, and two more."""

LATE: Final = f"no answer within {SECONDS:.0f} s"

_REQUIRED_HEADERS: Final = {
    401: "www-authenticate",
    429: "retry-after",
}  # required header, by status

_FAULTS: Final = {StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS}


class Outcome(NamedTuple):
    """The outcome of an input."""

    status: str  # the kind of answer, for counting
    fault: str | None = None  # its fault


def repeats(content: bytes, key: str = KEY) -> bool:
    """Return whether the content contains a value of an input, or the key."""
    return MARK.encode() in content or key.encode() in content


def judge_response(answer: Response, key: str = KEY) -> Outcome:
    """Judge an HTTP answer."""
    status = str(answer.status)
    if answer.status >= 500 and not (answer.status == 503 and "retry-after" in answer.headers):
        return Outcome(status, f"status {status}")
    if repeats(answer.raw_head + _anonymous(answer), key):
        return Outcome(status, f"status {status} repeats a sent value")
    if (name := _REQUIRED_HEADERS.get(answer.status)) and name not in answer.headers:
        return Outcome(status, f"status {status} without {name}")
    if answer.status >= 400 and answer.body is not None and not _is_error(answer):
        return Outcome(status, f"status {status} without the shape of errors")
    return Outcome(status)


def _anonymous(answer: Response) -> bytes:
    """Return the body without the request's id, which V2 copies to the answer."""
    body = answer.body or b""
    if answer.status == 200 and body.startswith(b'{"model_name"'):
        with suppress(ValueError):
            body = json.dumps({**json.loads(body), "id": None}).encode()
    return body


def _is_error(answer: Response) -> bool:
    try:
        content = json.loads(answer.body or b"")
        shaped = all(set(detail) == {"loc", "msg", "type"} for detail in content["detail"])
        return shaped and set(content) == {"error", "detail"} and isinstance(content["error"], str)
    except (ValueError, TypeError, KeyError):
        return False


def judge_call(code: StatusCode, details: str | None, trailing: bytes, key: str = KEY) -> Outcome:
    """Judge the status of a gRPC call."""
    if code in _FAULTS:
        return Outcome(code.name, f"{code.name}: {details}")
    if repeats((details or "").encode() + trailing, key):
        return Outcome(code.name, f"{code.name} repeats a sent value")
    return Outcome(code.name)
