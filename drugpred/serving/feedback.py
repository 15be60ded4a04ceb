"""POST /feedback: the outcomes of a prediction."""

from __future__ import annotations

import asyncio
from codecs import BOM_UTF8
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request


class FeedbackEndpoint:
    """Endpoint that passes feedback on to the `feedback` of the service."""

    def __init__(self, service: Callable[[], Any]) -> None:
        self._service = service
        # A separate thread: a disk that blocks must not block the threads that compute explanations.
        self._thread = ThreadPoolExecutor(1, "feedback")

    async def post(self, request: Request) -> Response:
        """Count the feedback of a request."""
        body = (await request.body()).removeprefix(BOM_UTF8)
        loop = asyncio.get_running_loop()
        accepted = await loop.run_in_executor(self._thread, self._service().feedback.take, body)
        return Response(accepted.model_dump_json(), media_type="application/json")
