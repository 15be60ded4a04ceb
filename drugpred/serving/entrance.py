"""Where HTTP requests enter: admitted, whole and not too long, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from drugpred.schemas import Error
from drugpred.serving.admission import (
    ANY_KEY,
    HEALTH,
    STATIC,
    Admission,
    Need,
    NotAdmittedError,
    TooLongError,
    presented,
)
from drugpred.serving.keys import Scope as KeyScope
from drugpred.serving.load import MOST_BYTES, Bound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["LONGEST", "Door", "Entrance", "need_of"]

_NEEDS: Final = {
    **dict.fromkeys(("/livez", "/readyz", "/healthz", "/health", "/v2/health/live", "/v2/health/ready"), HEALTH),
    **dict.fromkeys(("/", "/docs.json", "/schema.json", "/app"), STATIC),
    **dict.fromkeys(("/predict", "/predict_batch"), Need(scope=KeyScope.PREDICT)),
    **dict.fromkeys(("/model", "/drift", "/v2"), Need(scope=KeyScope.READ)),
    "/feedback": Need(scope=KeyScope.FEEDBACK),
    "/metrics": Need(scope=KeyScope.METRICS, counted=False),
}
_V2_MODEL: Final = "/v2/models/"
_REPORT: Final = "/app/report"
_ASSETS: Final = ("/app/", "/static_content/")

LONGEST: Final = {"/predict": 64 * 1024, "/feedback": 4096}
"""In bytes: many times the longest, so that it may be indented."""
_LONGEST_OTHER: Final = 4 * 2**20
"""10,000 people of the Open Inference Protocol are 2 MB of JSON, and a batch of 1000 half a MB."""

_WITHOUT_BODY: Final = {"GET", "HEAD", "OPTIONS"}


def need_of(path: str) -> Need:
    """Return what a request of a path needs."""
    if path.startswith(_V2_MODEL):
        if path.endswith("/ready"):
            return HEALTH
        return Need(scope=KeyScope.PREDICT if path.endswith("/infer") else KeyScope.READ)
    if path.startswith(_REPORT):
        return Need(scope=KeyScope.READ)
    return STATIC if path.startswith(_ASSETS) else ANY_KEY


class Door:
    """What decides; `connect` tells it who is admitted."""

    def __init__(self) -> None:
        self.bodies = Bound(MOST_BYTES)

    def connect(self, admission: Admission) -> None:
        """Let in from now on whom this admits."""
        self.admission = admission


class Entrance:
    """Middleware that passes on what is admitted, with its whole body in one message."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app = app
        self.door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._enter(scope, receive, send)
        except NotAdmittedError as error:
            await _refuse(error, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, headers = scope["path"], scope["headers"]
        if not self.door.admission.open:
            client = scope["client"]
            address = client[0] if client else ""
            await self.door.admission.check(_NEEDS.get(path) or need_of(path), _key(headers), address)
        if scope["method"] in _WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        most = LONGEST.get(path, _LONGEST_OTHER)
        if any(name == b"content-length" and int(value) > most for name, value in headers):
            raise TooLongError(most)
        parts = []
        size = 0
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                part = message.get("body", b"")
                self.door.bodies.take(len(part))
                size += len(part)
                if size > most:
                    raise TooLongError(most)
                parts.append(part)
                more = message.get("more_body", False)
            await self.app(scope, _again(b"".join(parts), receive), send)
        finally:
            self.door.bodies.give(size)


def _key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the key that came with a request."""
    authorization = key = None
    for name, value in headers:
        if name == b"authorization":
            authorization = value
        elif name == b"x-api-key":
            key = value
    return presented(authorization, key)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what tells of a body that was read, and then of what comes after it."""
    told = False

    async def tell() -> Any:  # noqa: ANN401 - a message
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return tell


async def _refuse(error: NotAdmittedError, send: Send) -> None:
    content = Error(error=str(error), detail=[]).model_dump_json().encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(int(error.retry_after)).encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
