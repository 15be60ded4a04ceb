"""Answers requests of one endpoint within uvicorn's protocol, without a task and the middleware of each request.

A handler takes the usual requests: short, with nothing in their headers that needs middleware. It answers them in
batches. Every other request, and each that the handler does not take, is passed on as if there were no handler; so
there is one place for errors, redirects, slow work and all else.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from typing_extensions import override
from uvicorn.protocols.http import auto

from drugpred.limits import LARGE_REQUEST_BYTES, MAX_HEAD_BYTES
from drugpred.serving.capacity import WRITE_BACKLOG
from drugpred.serving.patches import applied, replace, uvicorn_limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from http import HTTPStatus

_UNUSUAL: Final = frozenset({b"content-encoding", b"expect", b"origin", b"transfer-encoding", b"upgrade"})
"""Headers that need uvicorn or a middleware."""


class Handler(Protocol):
    """Answers the usual requests of an endpoint."""

    target: bytes
    """The target in the request line; the method is POST."""

    def is_open(self) -> bool:
        """Return whether it takes requests at the moment."""

    def begin(self, body: bytes, headers: Mapping[bytes, bytes], reply: FastPathProtocol) -> bool:
        """Start to answer a request, by `set_result` or `set_exception` of the reply; return whether it is taken.

        A request that is not taken must not have been counted.
        """

    def finish(self) -> None:
        """Answer some requests now."""

    def end(self, seconds: float | None) -> None:
        """Count an answer, which took some seconds, or with None a request that is passed on after all."""


def apply() -> None:
    """Make servers that start from now on use `FastPathProtocol`.

    Raises
    ------
    ImportError
        The limits of requests are not applied.
    """
    if not applied("uvicorn_limits"):
        raise ImportError("expected the patch uvicorn_limits")
    replace(auto, "AutoHTTPProtocol", FastPathProtocol)


class FastPathProtocol(uvicorn_limits.Protocol):
    """uvicorn's protocol with limits, which answers the requests of a handler itself."""

    handler: ClassVar[Handler | None] = None
    """Takes requests, once it is set."""

    _held: dict[bytes, bytes] | None = None
    """Headers of a request whose body is arriving and that the handler may take."""
    _body = b""
    _begun = 0.0
    _is_answering = False
    _idle_since: float | None = None
    _head: ClassVar[tuple[list[tuple[bytes, bytes]], bytes]] = ([], b"")
    """uvicorn's present default headers, and with them the first lines of an answer."""

    @override
    def on_message_begin(self) -> None:
        self._finish()  # of a pipelined request
        super().on_message_begin()
        self._idle_since = None

    @override
    def on_headers_complete(self) -> None:
        self._held = self._usual_headers()
        if self._held is None:
            super().on_headers_complete()
        else:
            self._body = b""
            self._in_head = False
            self._begun = perf_counter()

    def _usual_headers(self) -> dict[bytes, bytes] | None:
        """Return the headers of a request that the handler may take, or None."""
        handler, parser = self.handler, self.parser
        if (
            handler is None
            or self.url != handler.target
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or not (self.cycle is None or self.cycle.response_complete)
            or self.access_log
            or self._first + self._received > MAX_HEAD_BYTES
            or not handler.is_open()
        ):
            return None
        headers = dict(self.headers)
        is_usual = (
            len(headers) == len(self.headers)
            and b"host" in headers
            and int(headers.get(b"content-length", LARGE_REQUEST_BYTES)) < LARGE_REQUEST_BYTES
            and _UNUSUAL.isdisjoint(headers)
        )
        return headers if is_usual else None

    @override
    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        else:
            self._body += body

    @override
    def on_message_complete(self) -> None:
        if self._held is None:
            super().on_message_complete()
        elif self.handler and self.handler.begin(self._body, self._held, self):
            self._is_answering = True
            self._since = None
        else:
            self._pass_on()
            super().on_message_complete()

    def _pass_on(self) -> None:
        """Start the application, with the parts of the request that have arrived."""
        self._held = None
        super().on_headers_complete()
        super().on_body(self._body)

    def done(self) -> bool:
        """Return False, as the future of an answer that is awaited."""
        return False

    def set_result(self, answers: Sequence[bytes]) -> None:
        """Write the answer: its last headers, from content-length on, and its body."""
        if WRITE_BACKLOG.transports:  # middleware counts the answer
            self._answer_by_application()
            return
        self._end(perf_counter() - self._begun)
        self._held = None
        self._body = b""
        if self.transport.is_closing():
            return
        self.transport.write(self._first_lines() + answers[0])
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()

    def set_exception(self, _: Exception) -> None:
        """Let the application answer, which will meet the same exception."""
        self._answer_by_application()

    def _end(self, seconds: float | None) -> None:
        self._is_answering = False
        if self.handler:
            self.handler.end(seconds)

    def _answer_by_application(self) -> None:
        self._end(None)
        if not self.transport.is_closing():
            self._pass_on()
            super().on_message_complete()

    def _first_lines(self) -> bytes:
        defaults, lines = self._head
        if defaults is not self.server_state.default_headers:  # the date is a second older
            defaults = self.server_state.default_headers
            pairs = [*defaults, (b"content-type", b"application/json")]
            lines = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in pairs)
            FastPathProtocol._head = defaults, lines
        return lines

    def _finish(self) -> None:
        while self._is_answering and self.handler:
            self.handler.finish()

    @override
    def shutdown(self) -> None:
        self._finish()
        if self._held is not None:
            self._pass_on()
        super().shutdown()

    @override
    def _refuse(self, status: HTTPStatus, limit: str | None = None) -> str:
        self._finish()
        if self._held is not None:
            self._pass_on()
        return super()._refuse(status, limit)

    @override
    def _look(self, now: float) -> None:
        super()._look(now)
        if self._idle_since is not None and now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()
