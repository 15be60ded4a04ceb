"""How a worker ends: it announces the end, and then takes no more requests.

At SIGTERM uvicorn closes connections at once, and a request that is on its way then gets no answer. So first every
answer ends its connection, and load balancers see that the worker is not ready; then no more connections are taken; and
the requests of those that there are get their answers.
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

_NOTICE: Final = 1.0  # seconds in which requests are still taken
_ARRIVAL: Final = 0.1  # seconds in which a request arrives on a connection that was taken


class GracefulShutdown:
    """Whether the worker is ending."""

    started = False

    def listen(self, announce: Callable[[], Awaitable[None]]) -> None:
        """From now on, let SIGTERM announce the end before its present handler, uvicorn's, is called.

        To be called in uvicorn's event loop.
        """
        end = signal.getsignal(signal.SIGTERM)
        if not callable(end):
            if server_context.worker_index is not None:
                logger.warning("SIGTERM has no handler: requests that are on their way at the end get no answer")
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
        """End the worker as SIGTERM does."""
        signal.raise_signal(signal.SIGTERM)


class ConnectionCloseMiddleware:
    """Middleware that ends each connection with its answer while the worker drains."""

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
