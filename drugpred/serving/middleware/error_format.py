"""Gives every error one format: `{"error": ..., "detail": [...]}`, see `drugpred.schemas.Error`."""

from __future__ import annotations

import json
import logging
import traceback
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING

from drugpred.errors import OverloadedError, error_body
from drugpred.schemas import Error
from drugpred.serving.capacity import WRITE_BACKLOG
from drugpred.serving.responses import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class ErrorFormatMiddleware:
    """Middleware that gives every answer of 400 and above the one format.

    BentoML and Starlette answer errors as text, as an object or as a list, depending on where they arise.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and hold back an answer's start until it is known to be no error.

        What raises is answered with 500 at once. While there are clients that do not read their answers, another answer
        is replaced by 503 if it would be too much.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, receive, send)
        try:
            await self.app(scope, receive, answer.send)
        except Exception as error:  # noqa: BLE001 - the caller gets an answer whatever it is
            _log(error)
            if answer.begun:
                raise ConnectionAbortedError("the answer broke off") from None  # which ends the connection
            if not answer.replaced:  # Starlette raises what it has answered
                await _send_shaped({"type": "http.response.start", "status": 500, "headers": []}, b"", send)
        finally:
            WRITE_BACKLOG.release(answer.held)


class _Answer:
    """One answer: passed on as it is, or replaced by an error in the one format."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun = self.replaced = False
        self.held = 0  # bytes that count as unread
        self._arguments = scope, receive, send
        self._send = send
        self._error: Message | None = None  # its start
        self._body = b""

    async def send(self, message: Message) -> None:
        """Take the next message of the answer."""
        if self.begun:
            await self._send(message)
        elif self.replaced:
            pass
        elif self._error is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                self.replaced = True
                await _send_shaped(self._error, self._body, self._send)
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
                await error_response(error)(*self._arguments)
                return
        self.begun = True
        await self._send(message)


def _refusal(start: Message) -> Message | None:
    """Return the start of an error, None where the answer is none."""
    if start["status"] < HTTPStatus.TEMPORARY_REDIRECT:
        return None
    if start["status"] == HTTPStatus.TEMPORARY_REDIRECT:
        # To a path with a slash more or less: it would repeat the path and the host that a caller made up.
        return {**start, "status": HTTPStatus.NOT_FOUND.value, "headers": []}
    return start if start["status"] >= HTTPStatus.BAD_REQUEST else None


def _log(error: Exception) -> None:
    # Without its message and a traceback, which may hold what a person said.
    place = traceback.extract_tb(error.__traceback__)[-1]
    logger.error("%s in %s, line %s", type(error).__name__, place.filename, place.lineno)


def _hold(start: Message) -> int:
    """Hold an answer while it is written, and return how many bytes it has."""
    length = next((int(value) for name, value in start["headers"] if name == b"content-length"), 0)
    WRITE_BACKLOG.acquire(length)
    return length


async def _send_shaped(start: Message, body: bytes, send: Send) -> None:
    content = _shaped(start["status"], body)
    headers = [header for header in start["headers"] if header[0] not in {b"content-length", b"content-type"}]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _shaped(status: int, body: bytes) -> bytes:
    unknown = {"error": responses.get(status, "error"), "detail": []}
    try:
        content = json.loads(body)
        if isinstance(content, list):
            content = content[0]
        return Error.model_validate(unknown | content).model_dump_json().encode()
    except (ValueError, TypeError, IndexError):
        return error_body(str(unknown["error"]))
