"""Middleware that authorizes requests, and reads and decompresses their bodies."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import bentoml

from drugpred.errors import (
    InvalidEncodingError,
    InvalidHeadersError,
    PayloadTooLargeError,
    RequestError,
    UnsupportedEncodingError,
)
from drugpred.limits import MAX_BODY_BYTES, MAX_BODY_BYTES_EACH
from drugpred.serving import endpoints
from drugpred.serving.access.policy import caller_name, extract_key
from drugpred.serving.capacity import SharedCapacityLimiter
from drugpred.serving.responses import error_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

_WBITS: Final = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}  # zlib's argument for each encoding

_ONCE: Final = (b"host", b"authorization", b"x-api-key", b"content-encoding")
"""Headers that must occur once: of two, a proxy may have read the other one."""


class AccessMiddleware:
    """Middleware that passes on authorized and complete requests, with the body in one message.

    Parameters
    ----------
    app : ASGI application
    service : callable, optional
        Returns the service, whose `access` is the policy.
    """

    def __init__(self, app: ASGIApp, service: Callable[[], Any] = bentoml.get_current_service) -> None:
        self.app = app
        self.bodies = SharedCapacityLimiter(MAX_BODY_BYTES, MAX_BODY_BYTES_EACH)
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with an error."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._enter(scope, receive, send)
        except RequestError as error:
            await error_response(error)(scope, receive, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if len(headers) < len(scope["headers"]) or b"host" not in headers:
            _check(headers, scope)
        endpoint = endpoints.find(scope["path"])
        policy = self._service().access
        if not policy.open:
            client = scope["client"]
            key = extract_key(headers.get(b"authorization"), headers.get(b"x-api-key"))
            await policy.authorize(endpoint.rule, key, client[0] if client else "")
        if scope["method"] != "POST" or not endpoint.max_body_bytes:
            await self.app(scope, receive, send)  # reads no body
            return
        await self._read(endpoint.max_body_bytes, headers, scope, receive, send)

    async def _read(
        self, max_bytes: int, headers: Mapping[bytes, bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        if int(headers.get(b"content-length", 0)) > max_bytes:
            raise PayloadTooLargeError(max_bytes)
        encoding = _encoding(headers[b"content-encoding"]) if b"content-encoding" in headers else None
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
                self.bodies.acquire(len(part), caller)
                size += len(part)
                if size > max_bytes:
                    raise PayloadTooLargeError(max_bytes)
                parts.append(part)
                more = message.get("more_body", False)
            body = b"".join(parts)
            if encoding:
                body = _decompress(body, encoding, max_bytes)
                self.bodies.acquire(len(body), caller)
                size += len(body)
            await self.app(scope, replay(body, receive), send)
        finally:
            self.bodies.release(size, caller)


def _check(headers: Mapping[bytes, bytes], scope: Scope) -> None:
    """Check that the headers that must occur once do."""
    every: Iterable[tuple[bytes, bytes]] = scope["headers"]
    counts = Counter(name for name, _ in every)
    for name in _ONCE:
        if counts[name] > 1:
            raise InvalidHeadersError(f"expected one header {name.decode()}")
    if b"host" not in headers and scope["http_version"] == "1.1":
        raise InvalidHeadersError("expected the header host")


def _encoding(header: bytes) -> bytes | None:
    """Return the encoding of a body, or None if it is not compressed."""
    encoding = header.strip().lower()
    if encoding in {b"", b"identity"}:
        return None
    if encoding not in _WBITS:
        raise UnsupportedEncodingError(*(name.decode() for name in _WBITS))
    return encoding


def _decompress(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    decompressor = zlib.decompressobj(_WBITS[encoding])
    try:
        content = decompressor.decompress(body, max_bytes + 1)
    except zlib.error:
        raise InvalidEncodingError(encoding.decode()) from None
    if len(content) > max_bytes:
        raise PayloadTooLargeError(max_bytes)
    if not decompressor.eof or decompressor.unused_data:
        raise InvalidEncodingError(encoding.decode())
    return content


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive() that replays the body, then receives what follows."""
    replayed = False

    async def receive_again() -> Any:  # noqa: ANN401 - a message
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
