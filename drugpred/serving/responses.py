"""HTTP responses of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from drugpred.errors import RequestError, error_body
from drugpred.monitoring.metrics import LIMITED

if TYPE_CHECKING:
    from starlette.requests import Request


def error_response(error: RequestError) -> Response:
    """Return the response of an error, and count the request if it exceeds a limit."""
    if error.limit:
        LIMITED.labels(error.limit).inc()
    return Response(error_body(str(error), error.details), error.status, error.headers, "application/json")


def _handle(_: Request, error: Exception) -> Response:
    return error_response(error)  # type: ignore[arg-type]  # Starlette's type of handlers is wider


ERROR_HANDLERS: Final = {RequestError: _handle}  # for exceptions of Starlette's routes
