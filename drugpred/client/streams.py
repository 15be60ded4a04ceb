"""Bidirectional gRPC streams, with a timeout for each answer."""

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


class Stream:
    """Blocking stream. Requests go through a queue, so that the caller's chunks are made in the caller's thread."""

    def __init__(self, procedure: Any) -> None:  # noqa: ANN401 - of a generated stub
        self._outbox: SimpleQueue[Any] = SimpleQueue()
        self._call = procedure(iter(self._outbox.get, None))

    def send(self, request: Any) -> None:  # noqa: ANN401 - a message
        """Send a request, or None for the end."""
        self._outbox.put(request)

    def receive(self, timeout: float) -> Any:  # noqa: ANN401 - a message
        """Return the next answer, or None at the end; any error closes the stream."""
        late = threading.Event()

        def cancel() -> None:
            late.set()
            self._call.cancel()

        timer = threading.Timer(timeout, cancel)  # the stream as a whole has no deadline
        timer.daemon = True
        timer.start()
        try:
            with translate_errors():
                return next(self._call, None)
        except BaseException as error:
            self.close()
            if late.is_set() and isinstance(error, ServiceError):
                raise DeadlineExceededError("no answer in time") from None
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """Cancel the stream, unless it has ended."""
        self._call.cancel()  # first: an orderly end of the requests would look like success
        self._outbox.put(None)  # ends the thread that reads the queue


class AsyncStream:
    """Asynchronous stream. Requests go through a queue, so that answers are read while requests are written."""

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
        """Return the next answer, or None at the end; any error closes the stream."""
        try:
            async with asyncio.timeout(timeout):
                with translate_errors():
                    answer = await self._call.read()
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise DeadlineExceededError("no answer in time") from None
            raise
        return None if answer is grpc.aio.EOF else answer

    def close(self) -> None:
        """Cancel the stream, unless it has ended."""
        self._call.cancel()
