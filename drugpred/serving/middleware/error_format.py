"""Middleware that gives every error one format: `{"error": ..., "detail": [...]}`, see `drugpred.schemas.Error`."""

from __future__ import annotations

import json
import logging
import traceback
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Final

from drugpred.errors import OverloadedError, error_body
from drugpred.schemas import Error
from drugpred.serving import request_ids
from drugpred.serving.capacity import WRITE_BACKLOG
from drugpred.serving.responses import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

_REQUEST_ID: Final = request_ids.NAME.encode()


class ErrorFormatMiddleware:
    """Middleware that gives every answer with a status of 400 and above the one format, and every answer its id.

    BentoML and Starlette write errors as text, as an object or as a list, depending on where they occur.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; hold back the start of an answer until it is known to be no error.

        An exception is answered with 500 at once. While clients are not reading their answers, an answer that would
        exceed the write backlog is replaced by 503.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_ids.of_headers(scope["headers"])
        request_ids.current.set(request_id)  # of this request's task
        answer = _Answer(scope, receive, send, (_REQUEST_ID, request_id))
        try:
            await self.app(scope, receive, answer.send)
        except Exception as error:  # noqa: BLE001 - the caller must get an answer
            _log(error)
            if answer.begun:
                raise ConnectionAbortedError("the answer broke off") from None  # ends the connection
            if not answer.replaced:  # Starlette raises even after it has answered
                await answer.fail({"type": "http.response.start", "status": 500, "headers": []}, b"")
        finally:
            WRITE_BACKLOG.release(answer.held)


class _Answer:
    """An answer: passed on, or replaced by an error in the one format."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, header: tuple[bytes, bytes]) -> None:
        self.begun = self.replaced = False
        self.held = 0  # bytes that count as unread
        self._arguments = scope, receive, send
        self._send = send
        self._header = header  # the request's id
        self._error: Message | None = None  # its start
        self._body = b""

    async def send(self, message: Message) -> None:
        """Send the next message of the answer."""
        if self.begun:
            await self._send(message)
        elif self.replaced:
            pass
        elif self._error is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                self.replaced = True
                await self.fail(self._error, self._body)
        elif message["type"] == "http.response.start" and (refusal := _refusal(message)):
            self._error = refusal
        else:
            await self._begin(message)

    async def _begin(self, message: Message) -> None:
        if WRITE_BACKLOG.transports:
            try:
                self.held = _hold(message)
            except OverloadedError as error:  # Starlette would take it for an error after the start of an answer
                self.replaced = True
                response = error_response(error)
                response.raw_headers.append(self._header)
                await response(*self._arguments)
                return
        self.begun = True
        message["headers"] = [*message["headers"], self._header]
        await self._send(message)

    async def fail(self, start: Message, body: bytes) -> None:
        """Send an error in the one format."""
        content = _shaped(start["status"], body)
        headers = [header for header in start["headers"] if header[0] not in {b"content-length", b"content-type"}]
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await self._send({**start, "headers": [*headers, self._header]})
        await self._send({"type": "http.response.body", "body": content})


def _refusal(start: Message) -> Message | None:
    """Return the start of an error answer, or None if the answer is no error."""
    if start["status"] < HTTPStatus.TEMPORARY_REDIRECT:
        return None
    if start["status"] == HTTPStatus.TEMPORARY_REDIRECT:
        # A redirect to a path with or without a slash: it would repeat a path and host that the caller made up.
        return {**start, "status": HTTPStatus.NOT_FOUND.value, "headers": []}
    return start if start["status"] >= HTTPStatus.BAD_REQUEST else None


def _log(error: Exception) -> None:
    # Without its message and the traceback's lines, which may hold a person's values.
    place = traceback.extract_tb(error.__traceback__)[-1]
    logger.error("%s in %s, line %s", type(error).__name__, place.filename, place.lineno)


def _hold(start: Message) -> int:
    """Count an answer in the write backlog, and return its length in bytes."""
    length = next((int(value) for name, value in start["headers"] if name == b"content-length"), 0)
    WRITE_BACKLOG.acquire(length)
    return length


def _shaped(status: int, body: bytes) -> bytes:
    unknown = {"error": responses.get(status, "error"), "detail": []}
    try:
        content = json.loads(body)
        if isinstance(content, list):
            content = content[0]
        return Error.model_validate(unknown | content).model_dump_json().encode()
    except (ValueError, TypeError, IndexError):
        return error_body(str(unknown["error"]))
