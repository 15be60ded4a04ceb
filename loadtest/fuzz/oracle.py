"""Whether an answer is as every answer to a bad request must be."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from grpc import StatusCode

from loadtest.fuzz.inputs import KEY, MARK

if TYPE_CHECKING:
    from loadtest.harness.http1 import Response

SECONDS: Final = 1.0  # what an answer may take
SILENCE: Final = 12.0
"""What the end of a request may take whose client goes silent: the 10 seconds in which it may arrive, and two more."""

LATE: Final = f"no answer within {SECONDS:.0f} s"

_REQUIRED_HEADERS: Final = {
    401: "www-authenticate",
    429: "retry-after",
}  # by status, the header that its answers must have

_FAULTS: Final = {StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS}


class Outcome(NamedTuple):
    """What became of an input."""

    status: str  # how it was answered, to count by
    fault: str | None = None  # what is wrong with that


def repeats(content: bytes, key: str = KEY) -> bool:
    """Tell whether there is a value in it that was sent, or the key."""
    return MARK.encode() in content or key.encode() in content


def judge_response(answer: Response, key: str = KEY) -> Outcome:
    """Judge an HTTP answer."""
    status = str(answer.status)
    if answer.status >= 500 and not (answer.status == 503 and "retry-after" in answer.headers):
        return Outcome(status, f"status {status}")
    if repeats(answer.raw_head + _anonymous(answer), key):
        return Outcome(status, f"status {status} repeats what was sent")
    if (name := _REQUIRED_HEADERS.get(answer.status)) and name not in answer.headers:
        return Outcome(status, f"status {status} without {name}")
    if answer.status >= 400 and answer.body is not None and not _is_error(answer):
        return Outcome(status, f"status {status} without the shape of errors")
    return Outcome(status)


def _anonymous(answer: Response) -> bytes:
    """Return its body without the request's id, which V2 gives back to who sent it."""
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
    """Judge how a gRPC call ended."""
    if code in _FAULTS:
        return Outcome(code.name, f"{code.name}: {details}")
    if repeats((details or "").encode() + trailing, key):
        return Outcome(code.name, f"{code.name} repeats what was sent")
    return Outcome(code.name)
