"""How a worker ends: it tells that it will, and then takes no more requests.

uvicorn closes connections at once when it is told to end, and a request that is on its way then gets no answer. So
between SIGTERM and its end every answer ends its connection, and whoever balances load sees that the worker is not
ready; then no more connections are taken; and those that there are, are answered.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Any, Final

import bentoml
import uvicorn
from bentoml._internal.context import server_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ConnectionCloseMiddleware", "GracefulShutdown"]

logger = logging.getLogger(__name__)

_NOTICE: Final = 1.0
"""Seconds in which requests are still taken."""

_ARRIVAL: Final = 0.1
"""Seconds in which a request arrives on a connection that was taken."""


class GracefulShutdown:
    """Whether the worker was told to end."""

    begun = False

    def listen(self, announce: Callable[[], Awaitable[None]]) -> None:
        """From now on, let SIGTERM announce the end first. To be called in uvicorn's event loop."""
        end = signal.getsignal(signal.SIGTERM)
        server = getattr(end, "__self__", None)
        if not isinstance(server, uvicorn.Server):
            if server_context.worker_index is not None:
                logger.warning("SIGTERM is not uvicorn's: requests that are on their way at the end get no answer")
            return
        loop = asyncio.get_running_loop()

        async def drain() -> None:
            await announce()
            await asyncio.sleep(_NOTICE)
            for listener in server.servers:
                listener.close()
            await asyncio.sleep(_ARRIVAL)
            server.handle_exit(signal.SIGTERM, None)

        def begin(_number: int, _frame: FrameType | None) -> None:
            if not self.begun:
                self.begun = True
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
        if scope["type"] != "http" or not self._service().worker.shutdown.begun:
            await self.app(scope, receive, send)
            return

        async def close(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, close)
