"""Where HTTP requests enter: admitted, whole and not too long, or refused."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from drugpred.schemas import Error
from drugpred.serving.access.api_keys import Scope as KeyScope
from drugpred.serving.access.policy import (
    ANY_KEY,
    HEALTH,
    STATIC,
    AccessError,
    AccessPolicy,
    AccessRule,
    InvalidEncodingError,
    InvalidHeadersError,
    PayloadTooLargeError,
    UnsupportedEncodingError,
    caller_name,
    extract_key,
)
from drugpred.serving.capacity import MAX_BYTES, MAX_BYTES_EACH, SharedCapacityLimiter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["MAX_BODY_BYTES", "AccessMiddleware", "Door", "rule_for"]

_NEEDS: Final = {
    **dict.fromkeys(("/livez", "/readyz", "/healthz", "/health", "/v2/health/live", "/v2/health/ready"), HEALTH),
    **dict.fromkeys(("/", "/docs.json", "/schema.json", "/app"), STATIC),
    **dict.fromkeys(("/predict", "/predict_batch"), AccessRule(scope=KeyScope.PREDICT)),
    **dict.fromkeys(("/model", "/drift", "/v2"), AccessRule(scope=KeyScope.READ)),
    "/feedback": AccessRule(scope=KeyScope.FEEDBACK),
    "/metrics": AccessRule(scope=KeyScope.METRICS, counted=False),
}
_V2_MODEL: Final = "/v2/models/"
_REPORT: Final = "/app/report"
_ASSETS: Final = ("/app/", "/static_content/")

MAX_BODY_BYTES: Final = {"/predict": 64 * 1024, "/predict_batch": 4 * 2**20, "/feedback": 4096}
"""Bodies, in bytes: many times the longest, so that it may be indented. A batch of 1000 has half a MB."""
_MAX_INFER_BYTES: Final = 4 * 2**20
"""10,000 people of the Open Inference Protocol are 2 MB of JSON."""

_WBITS: Final = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
"""By the coding of a body, zlib's name for it."""

_ONCE: Final = (b"host", b"authorization", b"x-api-key", b"content-encoding")
"""Headers that decide something: of two, somebody before this server may have read the other one."""


def rule_for(path: str) -> AccessRule:
    """Return what a request of a path needs."""
    if path.startswith(_V2_MODEL):
        if path.endswith("/ready"):
            return HEALTH
        return AccessRule(scope=KeyScope.PREDICT if path.endswith("/infer") else KeyScope.READ)
    if path.startswith(_REPORT):
        return AccessRule(scope=KeyScope.READ)
    return STATIC if path.startswith(_ASSETS) else ANY_KEY


class Door:
    """What decides; `connect` tells it who is admitted."""

    def __init__(self) -> None:
        self.bodies = SharedCapacityLimiter(MAX_BYTES, MAX_BYTES_EACH)

    def connect(self, admission: AccessPolicy) -> None:
        """Let in from now on whom this admits."""
        self.admission = admission


class AccessMiddleware:
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
        except AccessError as error:
            await _refuse(error, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        headers = dict(scope["headers"])
        if len(headers) < len(scope["headers"]) or b"host" not in headers:
            _check(headers, scope)
        if not self.door.admission.open:
            client = scope["client"]
            address = client[0] if client else ""
            key = extract_key(headers.get(b"authorization"), headers.get(b"x-api-key"))
            await self.door.admission.check(_NEEDS.get(path) or rule_for(path), key, address)
        most = (MAX_BODY_BYTES.get(path) or _longest(path)) if scope["method"] == "POST" else 0
        if not most:
            await self.app(scope, receive, send)  # which reads no body
            return
        if int(headers.get(b"content-length", 0)) > most:
            raise PayloadTooLargeError(most)
        coding = _coding(headers[b"content-encoding"]) if b"content-encoding" in headers else None
        caller = caller_name()
        parts = []
        size = 0
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                part = message.get("body", b"")
                self.door.bodies.take(len(part), caller)
                size += len(part)
                if size > most:
                    raise PayloadTooLargeError(most)
                parts.append(part)
                more = message.get("more_body", False)
            body = b"".join(parts)
            if coding:
                body = _inflated(body, coding, most)
                self.door.bodies.take(len(body), caller)
                size += len(body)
            await self.app(scope, _replay(body, receive), send)
        finally:
            self.door.bodies.give(size, caller)


def _longest(path: str) -> int:
    """Return how many bytes the body of a POST to another path may have: none where nothing takes a body."""
    return _MAX_INFER_BYTES if path.startswith(_V2_MODEL) and path.endswith("/infer") else 0


def _check(headers: Mapping[bytes, bytes], scope: Scope) -> None:
    """Check that a request, whose headers these are by name, says once what must be said once."""
    every: Iterable[tuple[bytes, bytes]] = scope["headers"]
    counts = Counter(name for name, _ in every)
    for name in _ONCE:
        if counts[name] > 1:
            raise InvalidHeadersError(f"expected one header {name.decode()}")
    if b"host" not in headers and scope["http_version"] == "1.1":
        raise InvalidHeadersError("expected the header host")


def _coding(said: bytes) -> bytes | None:
    """Return the coding of a body that is to be inflated, None where it is as it is."""
    coding = said.strip().lower()
    if coding in {b"", b"identity"}:
        return None
    if coding not in _WBITS:
        raise UnsupportedEncodingError(*(name.decode() for name in _WBITS))
    return coding


def _inflated(body: bytes, coding: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj(_WBITS[coding])
    try:
        content = inflater.decompress(body, most + 1)
    except zlib.error:
        raise InvalidEncodingError(coding.decode()) from None
    if len(content) > most:
        raise PayloadTooLargeError(most)
    if not inflater.eof or inflater.unused_data:
        raise InvalidEncodingError(coding.decode())
    return content


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what tells of a body that was read, and then of what comes after it."""
    told = False

    async def tell() -> Any:  # noqa: ANN401 - a message
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return tell


async def _refuse(error: AccessError, send: Send) -> None:
    content = Error(error=str(error), detail=[]).model_dump_json().encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(int(error.retry_after)).encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.status == 415:
        headers.append((b"accept-encoding", b", ".join(_WBITS)))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
