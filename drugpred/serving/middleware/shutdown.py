"""Graceful shutdown of a worker.

At SIGTERM uvicorn closes connections at once, and a request on its way gets no answer. So the worker first reports
not-ready to load balancers and closes each connection with its next answer; then it stops accepting connections; then
it answers the requests that have arrived.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Any, Final

import bentoml
from bentoml import server_context

from drugpred.serving import patches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

_NOTICE: Final = 1.0  # seconds in which requests are still accepted
_ARRIVAL: Final = 0.1  # seconds in which a request arrives on an accepted connection


class GracefulShutdown:
    """State of the shutdown of a worker."""

    started = False

    def listen(self, announce: Callable[[], Awaitable[None]]) -> None:
        """Handle SIGTERM from now on: announce the shutdown, then call the present handler, uvicorn's.

        Call it in uvicorn's event loop.
        """
        end = signal.getsignal(signal.SIGTERM)
        if not callable(end):
            if server_context.worker_index is not None:
                logger.warning("SIGTERM has no handler: requests on their way at shutdown get no answer")
            return
        loop = asyncio.get_running_loop()

        async def drain() -> None:
            await announce()
            await asyncio.sleep(_NOTICE)
            if (uvicorn := patches.applied("uvicorn_server")) and uvicorn.Server.running:
                uvicorn.Server.running.close_listeners()
                await asyncio.sleep(_ARRIVAL)
            end(signal.SIGTERM, None)

        def begin(_number: int, _frame: FrameType | None) -> None:
            if not self.started:
                self.started = True
                asyncio.run_coroutine_threadsafe(drain(), loop)

        signal.signal(signal.SIGTERM, begin)

    def begin(self) -> None:
        """Start the shutdown as SIGTERM does."""
        signal.raise_signal(signal.SIGTERM)


class ConnectionCloseMiddleware:
    """Middleware that closes each connection after its answer while the worker drains."""

    def __init__(self, app: ASGIApp, service: Callable[[], Any] = bentoml.get_current_service) -> None:
        self.app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or not self._service().worker.shutdown.started:
            await self.app(scope, receive, send)
            return

        async def close(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, close)
