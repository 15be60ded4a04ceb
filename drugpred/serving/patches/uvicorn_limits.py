"""Limits of requests that uvicorn leaves to a proxy: length and time of the headers, and number of connections.

uvicorn waits forever for a request, and accepts headers of any length.
"""

from __future__ import annotations

import json
import logging
import socket
from collections import deque
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Final

import httptools
from typing_extensions import override
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from drugpred.limits import (
    HTTP_IDLE_TIMEOUT,
    MAX_HEAD_BYTES,
    MAX_HTTP_CONNECTIONS,
    MAX_PIPELINED,
    MAX_REQUEST_BYTES,
    REQUEST_TIMEOUT,
    WRITE_TIMEOUT,
)
from drugpred.monitoring.metrics import LIMITED
from drugpred.serving import request_ids
from drugpred.serving.capacity import WRITE_BACKLOG
from drugpred.serving.patches import replace

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_CROWDED_IDLE_SECONDS: Final = 5  # idle time of connections that are opened while half of the limit is in use

_SWEEP_SECONDS: Final = 1.0

_SEND_BUFFER: Final = 64 * 1024
"""Bytes of answers that the kernel buffers for a client, and doubles; by default up to 4 MB per connection."""

_DROPPED: Final[deque[tuple[bytes, bytes]]] = deque(maxlen=0)
"""Replaces the headers once they are complete, so that a trailer after a body cannot become a header."""

_TEXTS: Final = {
    HTTPStatus.BAD_REQUEST: "expected a request in HTTP/1.1",
    HTTPStatus.REQUEST_TIMEOUT: f"expected the whole request within {REQUEST_TIMEOUT:.0f} seconds",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"expected a request of at most {MAX_REQUEST_BYTES} bytes",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"expected headers of at most {MAX_HEAD_BYTES} bytes",
    HTTPStatus.SERVICE_UNAVAILABLE: f"expected at most {MAX_HTTP_CONNECTIONS} connections; try again later",
}


def apply() -> None:
    """Make servers that start from now on use `Protocol`."""
    replace(auto, "AutoHTTPProtocol", Protocol)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with limits: an error ends a connection whose request is too long or too slow.

    All connections are checked once a second: a timer for each request would cost more than all of this.
    """

    _connected: ClassVar[set[Protocol]] = set()
    _sweeping: ClassVar[bool] = False

    _packet = 0
    """Bytes that are being parsed."""
    _first = 0
    """Bytes that arrived together with the request's first one, some of which may be of requests before it."""
    _received = 0
    """Bytes of the request that arrived later."""
    _in_head = True
    _malformed = HTTPStatus.BAD_REQUEST
    _since: float | None = None
    """Start time of the request that is still arriving."""
    _untaken_since: float | None = None
    _unanswered: tuple[RequestResponseCycle, ...] = ()
    """Requests whose answers were incomplete when the last one came; `cycle` is only the last one."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        # uvicorn looks for handlers alone, and would write a line for each request that no handler takes.
        self.access_log = self.access_log and self.access_logger.isEnabledFor(logging.INFO)
        self._since = self.loop.time()
        crowded = len(self.connections) > MAX_HTTP_CONNECTIONS / 2
        self.timeout_keep_alive = _CROWDED_IDLE_SECONDS if crowded else HTTP_IDLE_TIMEOUT
        if len(self.connections) > MAX_HTTP_CONNECTIONS:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "load")
            return
        self._connected.add(self)
        if not self._sweeping:
            self._sweep(self.loop)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        WRITE_BACKLOG.transports.discard(self.transport)
        self._connected.discard(self)
        self._leave()

    @override
    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._packet = len(data)
        self._received += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            request_id = self._refuse(self._malformed)
            self.logger.warning("Invalid HTTP request received.", extra={"request": request_id})
        if self._received > MAX_HEAD_BYTES and not self.transport.is_closing():
            if self._in_head:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "size")
            elif self._received > MAX_REQUEST_BYTES:
                self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "size")

    def _feed(self, data: bytes) -> None:
        """Parse what arrived. An offer to upgrade is ignored, as HTTP allows.

        The parser takes the bytes after such headers for another protocol, so a new parser gets the headers without the
        offer.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
            lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn
            self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))
            self._feed(data[offer.args[0] :])

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._first, self._received = self._packet, 0
        self._in_head = True
        self._since = self.loop.time()

    @override
    def on_headers_complete(self) -> None:
        if self._first + self._received > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES:
            self._malformed = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("too long headers")
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise ValueError("no proxy")  # answered with 400
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests at once")  # answered with 400
        super().on_headers_complete()
        self.headers = _DROPPED  # type: ignore[assignment]  # nobody reads them here any more
        self._in_head = False
        self._unanswered = (*(one for one in self._unanswered if not one.response_complete), self.cycle)

    def _head_bytes(self) -> int:
        """Return the bytes of the request's line and headers, without spaces that mean nothing."""
        line = len(self.parser.get_method()) + len(self.url) + len("  HTTP/1.1\r\n")
        return line + sum(map(len, chain(*self.headers))) + len(":\r\n") * len(self.headers)

    @override
    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._since = None

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        WRITE_BACKLOG.transports.add(self.transport)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        WRITE_BACKLOG.transports.discard(self.transport)

    def _refuse(self, status: HTTPStatus, limit: str | None = None) -> str:
        """Answer with an error, if no answer has started, close the connection, and return the request's id."""
        request_id = request_ids.of_headers((self.headers or ()) if self._in_head else self.scope["headers"]).decode()
        if limit:
            LIMITED.labels(limit).inc()
        answering = any(one.response_started and not one.response_complete for one in self._unanswered)
        answered = not self._in_head and (self.cycle is None or self.cycle.response_complete)
        if not answering and not answered:
            body = json.dumps({"error": _TEXTS[status], "detail": []}, separators=(",", ":")).encode()
            head = [
                f"HTTP/1.1 {status.value} {status.phrase}",
                "content-type: application/json",
                f"content-length: {len(body)}",
                "connection: close",
                f"{request_ids.NAME}: {request_id}",
                *(["retry-after: 1"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
            ]
            self.transport.write("\r\n".join([*head, "", ""]).encode() + body)
        self._leave()
        self.transport.close()
        return request_id

    def _leave(self) -> None:
        """Mark the connection as closed for requests that are still in work."""
        for one in self._unanswered:
            one.disconnected = True
            one.message_event.set()

    @classmethod
    def _sweep(cls, loop: Any) -> None:  # noqa: ANN401 - uvloop's is no AbstractEventLoop
        """End connections that are too slow."""
        now = loop.time()
        for connection in list(cls._connected):
            connection._look(now)
        cls._sweeping = bool(cls._connected)
        if cls._sweeping:
            loop.call_later(_SWEEP_SECONDS, cls._sweep, loop)

    def _look(self, now: float) -> None:
        if not self.flow.write_paused:
            self._untaken_since = None
        elif self._untaken_since is None:
            self._untaken_since = now
        elif now - self._untaken_since > WRITE_TIMEOUT:
            self.transport.abort()
        if self._since is not None and now - self._since > REQUEST_TIMEOUT and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "time")
