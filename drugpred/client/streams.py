"""One bidirectional stream of gRPC: what goes out, what comes back, and how long to wait for it."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import grpc

from drugpred.client.statuses import translate_errors
from drugpred.errors import DeadlineExceededError, ServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["AsyncStream", "Stream"]


class Stream:
    """One stream. Requests go through a queue, so that the caller's chunks are made in its own thread."""

    def __init__(self, procedure: Any) -> None:  # noqa: ANN401 - of a generated stub
        self._outbox: SimpleQueue[Any] = SimpleQueue()
        self._call = procedure(iter(self._outbox.get, None))

    def send(self, request: Any) -> None:  # noqa: ANN401 - a message
        """Send a request, or None for the end."""
        self._outbox.put(request)

    def receive(self, timeout: float) -> Any:  # noqa: ANN401 - a message
        """Return the next answer, or None at the end."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._call.cancel()

        timer = threading.Timer(timeout, give_up)  # a stream as a whole has no deadline
        timer.daemon = True
        timer.start()
        try:
            with translate_errors():
                return next(self._call, None)
        except ServiceError:
            if late.is_set():
                raise DeadlineExceededError("no answer in time") from None
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """Give it up, where it has not ended."""
        self._call.cancel()  # first: an end of the requests would look as if all went well
        self._outbox.put(None)  # its thread waits for it


class AsyncStream:
    """One stream. Requests go through a queue, so that answers are read while requests are written."""

    def __init__(self, procedure: Any) -> None:  # noqa: ANN401 - of a generated stub
        self._outbox: asyncio.Queue[Any] = asyncio.Queue()
        self._call = procedure(self._requests())

    async def _requests(self) -> AsyncIterator[Any]:
        while (request := await self._outbox.get()) is not None:
            yield request

    def send(self, request: Any) -> None:  # noqa: ANN401 - a message
        """Send a request, or None for the end."""
        self._outbox.put_nowait(request)

    async def receive(self, timeout: float) -> Any:  # noqa: ANN401 - a message
        """Return the next answer, or None at the end."""
        try:
            async with asyncio.timeout(timeout):
                with translate_errors():
                    answer = await self._call.read()
        except TimeoutError:
            raise DeadlineExceededError("no answer in time") from None
        return None if answer is grpc.aio.EOF else answer

    def close(self) -> None:
        """Give it up, where it has not ended."""
        self._call.cancel()
