"""A lane beside a grpc.aio server's event loop, for unary methods that take microseconds.

grpc.aio brings each call to its handler by a poller thread, a socket, the event loop and three tasks, which costs
several predictions. A lane is a thread that takes the calls of some methods from a completion queue of its own of the
same server, and drives the same handlers through the same interceptors. What suspends goes on in the event loop, so a
handler that is about to wait or to take long says `await asyncio.sleep(0)`.

It also refuses the calls of methods that there are not: grpc.aio would decode their names, and where one is not UTF-8
its server ends for good.

It stands on what grpc's own synchronous server stands on (`grpc._cython.cygrpc`), which is no public interface: where
a release of grpcio has it no more, there is no lane, and grpc.aio answers all.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import grpc
from grpc import StatusCode
from grpc._cython import cygrpc

from drugpred.serving.rpc import telemetry
from drugpred.serving.rpc.arriving import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Future


__all__ = ["Handlers", "Lane", "make_server"]

logger = logging.getLogger(__name__)

_NO_FLAGS: Final = 0

_NEVER: Final = 2.0**62
"""Deadlines after it are none, in seconds."""

_Metadata = tuple[tuple[str, str | bytes], ...]


class Handlers:
    """What generated code takes for a server to add handlers to.

    The server must not hear of a lane's methods by name: it would share their calls with the lane.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        self.by_name: dict[str, grpc.RpcMethodHandler] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Add services."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler]) -> None:
        """Note the methods of a service."""
        self.by_name |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def tell(self, lane: Collection[str]) -> None:
        """Tell the server of all methods but a lane's: those that it is not told of by name are unknown to it."""
        for method in self.by_name.keys() - set(lane):
            _, service, name = method.split("/")
            self._server.add_registered_method_handlers(service, {name: bounded(self.by_name[method])})


class _Core(cygrpc.AioServer):  # type: ignore[misc]
    """What a server stands on; where there is a lane, it leaves the calls of unknown methods to it."""

    has_lane = False

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:
        if method is None and self.has_lane:
            return asyncio.get_running_loop().create_future()
        future: asyncio.Future[Any] = super()._make_request_call_future(method)
        return future


def make_server(interceptors: Sequence[grpc.aio.ServerInterceptor], **options: Any) -> grpc.aio.Server:  # noqa: ANN401
    """Return `grpc.aio.server` of these interceptors and options, beside which a lane may be."""
    stock, cygrpc.AioServer = cygrpc.AioServer, _Core
    try:
        return grpc.aio.server(interceptors=interceptors, **options)
    finally:
        cygrpc.AioServer = stock


class Lane:
    """Answers some unary methods of a server in a thread of its own.

    Parameters
    ----------
    core : cygrpc.Server
        What the server stands on, not yet started.
    handlers : dict of str to grpc.RpcMethodHandler
        By method. The server must not know them by name, see `Handlers`.
    interceptors : sequence of grpc.aio.ServerInterceptor
        Those of the server.
    """

    def __init__(
        self,
        core: cygrpc.Server,
        handlers: Mapping[str, grpc.RpcMethodHandler],
        interceptors: Sequence[grpc.aio.ServerInterceptor],
    ) -> None:
        self._core = core
        self._handlers = handlers
        self._interceptors = interceptors
        self._queue = cygrpc.CompletionQueue()
        self._core.register_completion_queue(self._queue)
        for method in handlers:
            self._core.register_method(method)
        self._thread = threading.Thread(target=self._run, name="grpc lane", daemon=True)
        self._lock = threading.Lock()
        self._asking = True
        self._closed = False

    @classmethod
    def beside(
        cls,
        server: grpc.aio.Server,
        handlers: Mapping[str, grpc.RpcMethodHandler],
        interceptors: Sequence[grpc.aio.ServerInterceptor],
    ) -> Self | None:
        """Return a lane of a server that is not yet started, None where grpcio has none to offer."""
        server_core = getattr(server, "_server", None)
        core = next((found for found in gc.get_referents(server_core) if isinstance(found, cygrpc.Server)), None)
        if core is None:
            return None
        if isinstance(server_core, _Core):
            server_core.has_lane = True
        return cls(core, handlers, interceptors)

    def start(self) -> None:
        """Take calls, from an event loop and after the server has started."""
        self._loop = asyncio.get_running_loop()
        for method in self._handlers:
            self._ask(method)
        self._ask_unknown()
        self._thread.start()

    def stop(self) -> None:
        """Take no more calls, right before the server stops: one that has stopped must not be asked for any."""
        with self._lock:
            self._asking = False

    def close(self) -> None:
        """End the thread, after the server has stopped."""
        with self._lock:
            self._closed = True
            self._queue.shutdown()
        self._thread.join()

    def _run(self) -> None:
        while (tag := (event := self._queue.poll(None)).tag) is not None:
            tag(event)
            del event, tag  # what they hold is not to wait for the next call

    def _ask(self, method: str) -> None:
        """Ask for one more call of a method."""
        with self._lock:
            if self._asking:
                self._core.request_registered_call(self._queue, self._queue, method, partial(self._accept, method))

    def _ask_unknown(self) -> None:
        """Ask for one more call of a method that there is not."""
        with self._lock:
            if self._asking:
                self._core.request_call(self._queue, self._queue, self._refuse)

    def _refuse(self, asked: cygrpc.RequestCallEvent) -> None:
        if not asked.success:  # the server stops
            return
        self._ask_unknown()
        telemetry.observe("unknown", StatusCode.UNIMPLEMENTED.name, 0)
        context = _Context(asked)
        context.fail(StatusCode.UNIMPLEMENTED)
        self._finish(context, b"", (cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),))

    def _batch(
        self, call: cygrpc.Call, operations: tuple[cygrpc.Operation, ...], then: Callable[[Any], object]
    ) -> None:
        with self._lock:
            if not self._closed:
                call.start_server_batch(operations, then)

    def _accept(self, method: str, asked: cygrpc.RequestCallEvent) -> None:
        if not asked.success:  # the server stops
            return
        self._ask(method)
        then = partial(self._answer, method, asked)
        self._batch(asked.call, (cygrpc.ReceiveMessageOperation(_NO_FLAGS),), then)

    def _answer(self, method: str, asked: cygrpc.RequestCallEvent, received: cygrpc.BatchOperationEvent) -> None:
        context = _Context(asked)
        answering = self._handle(method, received.batch_operations[0].message(), context)
        close = (cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),)
        try:
            answering.send(None)
        except StopIteration as ended:
            self._finish(context, ended.value, close)
        else:
            going_on = asyncio.run_coroutine_threadsafe(answering, self._loop)
            going_on.add_done_callback(partial(self._went_on, context))
            self._batch(asked.call, close, lambda _: going_on.cancel())  # for one that ended it changes nothing

    def _went_on(self, context: _Context, answering: Future[bytes]) -> None:
        """Finish what the event loop answered, or what the client gave up."""
        self._finish(context, b"" if answering.cancelled() else answering.result())

    async def _handle(self, method: str, message: bytes | None, context: _Context) -> bytes:
        """Return the answer's message, empty where the call ends with an error, which the context then knows."""
        try:
            if message is None:
                await context.abort(StatusCode.UNIMPLEMENTED, "expected one message")
            handler = await self._find(0, _Details(method, context.invocation_metadata()))
            request = handler.request_deserializer(message) if handler.request_deserializer else message
            response = await handler.unary_unary(request, context)
            answer: bytes = handler.response_serializer(response) if handler.response_serializer else response
        except (grpc.aio.AbortError, asyncio.CancelledError):
            context.fail(StatusCode.CANCELLED)
        except Exception as error:  # noqa: BLE001 - as grpc.aio does
            logger.error("%s in %s", type(error).__name__, method)  # noqa: TRY400 - without its message
            context.fail(StatusCode.UNKNOWN)
        else:
            return answer
        return b""

    async def _find(self, place: int, details: _Details) -> Any:  # noqa: ANN401
        """Return the handler of a method as the interceptors from a place on give it."""
        if place == len(self._interceptors):
            return self._handlers[details.method]
        return await self._interceptors[place].intercept_service(partial(self._find, place + 1), details)

    def _finish(self, context: _Context, message: bytes, close: tuple[cygrpc.Operation, ...] = ()) -> None:
        operations = (
            cygrpc.SendInitialMetadataOperation((), _NO_FLAGS),
            *((cygrpc.SendMessageOperation(message, _NO_FLAGS),) if context.code() is None else ()),
            cygrpc.SendStatusFromServerOperation(*context.status(), _NO_FLAGS),
            *close,
        )
        self._batch(context.call, operations, context.end)


@dataclass
class _Details:
    """A call, as interceptors are told of it."""

    method: str
    invocation_metadata: _Metadata


class _Context:
    """What a unary handler may ask and tell of its call: that part of `grpc.aio.ServicerContext`."""

    def __init__(self, asked: cygrpc.RequestCallEvent) -> None:
        self.call = asked.call
        self._asked = asked
        self._code: StatusCode | None = None
        self._details = ""
        self._trailing_metadata: _Metadata = ()
        self._callbacks: list[Callable[[_Context], None]] = []

    def invocation_metadata(self) -> _Metadata:
        metadata: _Metadata = self._asked.invocation_metadata
        return metadata

    def peer(self) -> str:
        peer: str = self.call.peer().decode()
        return peer

    def time_remaining(self) -> float | None:
        deadline: float = self._asked.call_details.deadline
        return None if deadline > _NEVER else max(deadline - time.time(), 0)

    def code(self) -> StatusCode | None:
        return self._code

    def set_trailing_metadata(self, trailing_metadata: _Metadata) -> None:
        self._trailing_metadata = trailing_metadata

    async def abort(self, code: StatusCode, details: str = "", trailing_metadata: _Metadata = ()) -> None:
        self._code, self._details = code, details
        self._trailing_metadata = trailing_metadata or self._trailing_metadata
        raise grpc.aio.AbortError

    async def abort_with_status(self, status: grpc.Status) -> None:
        await self.abort(status.code, status.details, status.trailing_metadata)

    def add_done_callback(self, callback: Callable[[_Context], None]) -> None:
        self._callbacks.append(callback)

    def end(self, _: cygrpc.BatchOperationEvent) -> None:
        """Tell who wants to hear it that the answer is sent."""
        for callback in self._callbacks:
            callback(self)

    def fail(self, code: StatusCode) -> None:
        """End with an error, if no other one is known."""
        self._code = self._code or code

    def status(self) -> tuple[_Metadata, int, bytes]:
        """Return how the call ends: trailing metadata, code and details."""
        code: int = (self._code or StatusCode.OK).value[0]
        return self._trailing_metadata, code, self._details.encode()
