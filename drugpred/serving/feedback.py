"""POST /feedback: what turned out of an answer."""

from __future__ import annotations

import asyncio
from codecs import BOM_UTF8
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from drugpred.monitoring.feedback.errors import (
    DuplicateFeedbackError,
    ExpiredPredictionError,
    FeedbackError,
    StoreUnavailableError,
)
from drugpred.schemas import Error

if TYPE_CHECKING:
    from starlette.requests import Request

    from drugpred.monitoring.feedback.service import FeedbackService

__all__ = ["ERRORS", "FeedbackRoutes"]

_STATUSES: Final[dict[type[FeedbackError], int]] = {
    DuplicateFeedbackError: 409,
    ExpiredPredictionError: 410,
    StoreUnavailableError: 503,
}
"""Of what is no mere mistake in the request, which is 400."""

_RETRY_SECONDS: Final = 30


class FeedbackRoutes:
    """The route of feedback; `connect` tells it who takes it."""

    def __init__(self) -> None:
        self.routes = [Route("/feedback", self._feedback, methods=["POST"])]
        # One thread of its own: a disk that hangs must not take those in which slow answers are made.
        self._thread = ThreadPoolExecutor(1, "feedback")

    def connect(self, collector: FeedbackService) -> None:
        """Give feedback to this collector from now on."""
        self._collector = collector

    async def _feedback(self, request: Request) -> Response:
        body = (await request.body()).removeprefix(BOM_UTF8)
        accepted = await asyncio.get_running_loop().run_in_executor(self._thread, self._collector.take, body)
        return Response(accepted.model_dump_json(), media_type="application/json")


def _refused(_: Request, error: Exception) -> Response:
    details = error.details if isinstance(error, FeedbackError) else []
    status = _STATUSES.get(type(error), 400)  # type: ignore[arg-type]  # Starlette's type of handlers is wider
    headers = {"retry-after": str(_RETRY_SECONDS)} if status == 503 else None
    return Response(Error(error=str(error), detail=details).model_dump_json(), status, headers, "application/json")


ERRORS: Final = {FeedbackError: _refused}
"""How Starlette answers what the route raises."""
