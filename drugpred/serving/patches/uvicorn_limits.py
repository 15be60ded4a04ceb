"""Limits on how a request arrives, which uvicorn leaves to a proxy: its head, its time, and how many connect.

uvicorn waits for ever for a request, and takes headers of any length.
"""

from __future__ import annotations

import json
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
from drugpred.serving.capacity import WRITE_BACKLOG
from drugpred.serving.patches import replace

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_CROWDED_IDLE_SECONDS: Final = 5  # the same of connections that are made while half of the bound is used

_SWEEP_SECONDS: Final = 1.0

_SEND_BUFFER: Final = 64 * 1024
"""Bytes of answers that the kernel holds for a client, and doubles; left to itself it takes up to 4 MB a connection."""

_DROPPED: Final[deque[tuple[bytes, bytes]]] = deque(maxlen=0)
"""Takes the place of the headers once they are complete: no field behind a body becomes one, whatever its name."""

_TEXTS: Final = {
    HTTPStatus.BAD_REQUEST: "expected a request as HTTP/1.1 describes it",
    HTTPStatus.REQUEST_TIMEOUT: f"expected the whole request within {REQUEST_TIMEOUT:.0f} seconds",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"expected a request of {MAX_REQUEST_BYTES} bytes or fewer",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"expected headers of {MAX_HEAD_BYTES} bytes or fewer",
    HTTPStatus.SERVICE_UNAVAILABLE: f"expected {MAX_HTTP_CONNECTIONS} connections or fewer; try again later",
}


def apply() -> None:
    """Have servers that are started from now on speak HTTP by `Protocol`."""
    replace(auto, "AutoHTTPProtocol", Protocol)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection with an error where something is too long or too slow.

    Once a second all connections are looked at: a timer for each request would cost more than all of this.
    """

    _connected: ClassVar[set[Protocol]] = set()
    _sweeping: ClassVar[bool] = False

    _packet = 0
    _received = 0
    """Bytes of the request, without those that came together with its first one."""
    _in_head = True
    _malformed = HTTPStatus.BAD_REQUEST
    _since: float | None = None
    """When that began to arrive which has not wholly arrived."""
    _untaken_since: float | None = None
    _unanswered: tuple[RequestResponseCycle, ...] = ()
    """Requests whose answers were not complete when the last one came; `cycle` is only the last one."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
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
            self.logger.warning("Invalid HTTP request received.")
            self._refuse(self._malformed)
        if self._received > MAX_HEAD_BYTES and not self.transport.is_closing():
            if self._in_head:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "size")
            elif self._received > MAX_REQUEST_BYTES:
                self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "size")

    def _feed(self, data: bytes) -> None:
        """Parse what arrived. An offer to upgrade is ignored, as HTTP allows: its body is a body.

        The parser takes what follows such a head for another protocol's. So a new one gets the head without the offer.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
            lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))
            self._feed(data[offer.args[0] :])

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._received = 0
        self._in_head = True
        self._since = self.loop.time()

    @override
    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise ValueError("no proxy")  # which the parser answers with 400
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests at once")  # which the parser answers with 400
        if self._packet > MAX_HEAD_BYTES and sum(map(len, chain(*self.headers))) > MAX_HEAD_BYTES:
            self._malformed = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("too long headers")
        super().on_headers_complete()
        self.headers = _DROPPED  # type: ignore[assignment]  # nobody reads them here any more
        self._in_head = False
        self._unanswered = (*(one for one in self._unanswered if not one.response_complete), self.cycle)

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

    def _refuse(self, status: HTTPStatus, limit: str | None = None) -> None:
        """Answer, where no answer has begun, and end the connection."""
        if limit:
            LIMITED.labels(limit).inc()
        answering = any(one.response_started and not one.response_complete for one in self._unanswered)
        answered = not self._in_head and self.cycle.response_complete  # before it had wholly arrived
        if not answering and not answered:
            body = json.dumps({"error": _TEXTS[status], "detail": []}, separators=(",", ":")).encode()
            head = [
                f"HTTP/1.1 {status.value} {status.phrase}",
                "content-type: application/json",
                f"content-length: {len(body)}",
                "connection: close",
                *(["retry-after: 1"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
            ]
            self.transport.write("\r\n".join([*head, "", ""]).encode() + body)
        self._leave()
        self.transport.close()

    def _leave(self) -> None:
        """Tell what still answers that it must not write to what is closed."""
        for one in self._unanswered:
            one.disconnected = True
            one.message_event.set()

    @classmethod
    def _sweep(cls, loop: Any) -> None:  # noqa: ANN401 - uvloop's is no AbstractEventLoop
        """End what is too slow."""
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
