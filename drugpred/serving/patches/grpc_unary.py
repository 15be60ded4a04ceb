"""A thread next to the event loop of a grpc.aio server, for unary methods that take microseconds.

grpc.aio passes each call to its handler through a poller thread, a socket, the event loop and three tasks, which costs
several predictions. The thread takes the calls of some methods from its own completion queue of the same server, and
runs the same handlers through the same interceptors. A handler that suspends continues in the event loop; a handler
that is about to wait or to take long calls `await asyncio.sleep(0)`.

The thread also refuses calls of unknown methods: grpc.aio would decode their names, and a name that is not UTF-8 would
end its server.

It uses the private module of grpc's own synchronous server (`grpc._cython.cygrpc`).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from functools import partial
from math import inf
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
from grpc import StatusCode
from grpc._cython import cygrpc

from drugpred.errors import OverloadedError, RequestTimeoutError
from drugpred.limits import MAX_ARRIVING_CALLS, MAX_LEAVING_CALLS, REQUEST_TIMEOUT, WRITE_TIMEOUT
from drugpred.monitoring.metrics import observe_call
from drugpred.serving import request_ids
from drugpred.serving.batching import Job
from drugpred.serving.capacity import dispensable
from drugpred.serving.patches import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Generator, Mapping, Sequence

    from drugpred.serving.batching import AdaptiveBatcher


logger = logging.getLogger(__name__)

_NO_FLAGS: Final = 0

_NEVER: Final = 2.0**62  # in seconds; later deadlines count as none

_LOOK_SECONDS: Final = 1.0

_NOW: Final = 0.0  # a deadline in the past: the queue returns at once
_MESSAGE: Final = object()  # what a handler awaits when it reads its message

_PARTS: Final = (
    *("AioServer", "CompletionQueue", "CompletionType", "Server", "ReceiveCloseOnServerOperation"),
    *("ReceiveMessageOperation", "SendInitialMetadataOperation", "SendMessageOperation"),
    "SendStatusFromServerOperation",
)
"""Of `cygrpc`."""

_Metadata = tuple[tuple[str, str | bytes], ...]


def apply() -> None:
    """Make `grpc.aio.server` return servers to which `attach` can attach a thread.

    Raises
    ------
    AttributeError
        grpcio lacks a part that the thread needs.
    """
    for name in _PARTS:
        getattr(cygrpc, name)
    if not issubclass(cygrpc.AioServer, _AttachableServer):
        replace(cygrpc, "AioServer", type("AioServer", (_AttachableServer, cygrpc.AioServer), {}))


class MethodRegistry:
    """Registry that collects the handlers of generated code in place of a server.

    The server must not know the methods of the thread by name, or it would share their calls with the thread.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        self.by_name: dict[str, grpc.RpcMethodHandler] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Add the handlers of services."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler]) -> None:
        """Add the methods of a service."""
        self.by_name |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def register_all_but(self, methods: Collection[str]) -> None:
        """Register all methods except these with the server."""
        for method in self.by_name.keys() - set(methods):
            _, service, name = method.split("/")
            self._server.add_registered_method_handlers(service, {name: self.by_name[method]})


class _AttachableServer:
    """The core of a grpc.aio server, which leaves calls of unknown methods to an attached thread."""

    is_attached = False

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:
        if method is None and self.is_attached:
            return asyncio.get_running_loop().create_future()
        future: asyncio.Future[Any] = super()._make_request_call_future(method)  # type: ignore[misc]
        return future


def attach(
    server: grpc.aio.Server,
    handlers: Mapping[str, grpc.RpcMethodHandler],
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    batcher: AdaptiveBatcher[Any, Any],
) -> CompletionQueueServer | None:
    """Return the thread of a server that has not started; log a line and return None if it cannot have one."""
    core = getattr(server, "_server", None)
    queue_server = next((each for each in gc.get_referents(core) if isinstance(each, cygrpc.Server)), None)
    if queue_server is None or not isinstance(core, _AttachableServer):
        logger.warning("gRPC Predict is slower: grpc.aio's server lacks an expected part")
        return None
    core.is_attached = True
    return CompletionQueueServer(queue_server, handlers, interceptors, batcher)


class CompletionQueueServer:
    """Server of some methods of another server, in a separate thread.

    Their handlers handle streams of bytes, as `CallInterceptor` wraps them; each reads one message and writes one
    answer.

    Parameters
    ----------
    core : cygrpc.Server
        The core of the server, not yet started.
    handlers : dict of str to grpc.RpcMethodHandler
        Handlers by method. The server must not know the methods by name, see `MethodRegistry`.
    interceptors : sequence of grpc.aio.ServerInterceptor
        The interceptors of the server.
    batcher : AdaptiveBatcher
        The batcher that handlers submit to; when no call is waiting, all that they have submitted is one batch.
    """

    def __init__(
        self,
        core: cygrpc.Server,
        handlers: Mapping[str, grpc.RpcMethodHandler],
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        batcher: AdaptiveBatcher[Any, Any],
    ) -> None:
        self._core = core
        self._batcher = batcher
        self._jobs: list[tuple[_Context, Job[Any, Any]]] = []
        self._handlers = handlers
        self._interceptors = interceptors
        self._queue = cygrpc.CompletionQueue()
        self._core.register_completion_queue(self._queue)
        for method in handlers:
            self._core.register_method(method)
        self._thread = threading.Thread(target=self._run, name="grpc unary", daemon=True)
        self._lock = threading.Lock()
        self._asking = True
        self._closed = False
        # Start of each, oldest first.
        self._arriving: dict[_Context, float] = {}
        self._leaving: dict[_Context, float] = {}

    def start(self) -> None:
        """Start to accept calls; from an event loop, after the server has started."""
        self._loop = asyncio.get_running_loop()
        for method in self._handlers:
            self._ask(method)
        self._ask_unknown()
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting calls; right before the server stops, which must not be asked for calls afterwards."""
        with self._lock:
            self._asking = False

    def close(self) -> None:
        """End the thread, after the server has stopped."""
        with self._lock:
            self._closed = True
            self._queue.shutdown()
        self._thread.join()

    def _run(self) -> None:
        look_at = time.time() + _LOOK_SECONDS
        while True:
            event = self._queue.poll(_NOW if self._jobs else look_at)
            if event.tag is not None:
                event.tag(event)
                if len(self._jobs) >= self._batcher.max_batch_size:
                    self._answer()
            elif self._jobs:
                self._answer()
            elif event.completion_type == cygrpc.CompletionType.queue_shutdown:
                return
            del event  # frees its call before the next one arrives
            if (now := time.time()) >= look_at:
                look_at = now + _LOOK_SECONDS
                self._look(time.monotonic())

    def _answer(self) -> None:
        """Continue the handlers that submitted something, with their answers."""
        submitted, self._jobs = self._jobs, []
        answers = self._batcher.answer([job.items for _, job in submitted])
        for (context, _), each in zip(submitted, answers, strict=True):
            self._continue(context, each)

    def _look(self, now: float) -> None:
        """End calls that are too slow."""
        while context := self._oldest(self._arriving, now - REQUEST_TIMEOUT):
            self._continue(context, RequestTimeoutError(REQUEST_TIMEOUT))
        while context := self._oldest(self._leaving, now - WRITE_TIMEOUT):
            context.call.cancel()

    def _oldest(self, since: dict[_Context, float], before: float) -> _Context | None:
        """Remove and return the call that has waited longest, if it started before a time."""
        with self._lock:
            context = next(iter(since), None)
            if context is None or since[context] > before:
                return None
            del since[context]
            return context

    def _ask(self, method: str) -> None:
        """Request one more call of a method."""
        with self._lock:
            if self._asking:
                self._core.request_registered_call(self._queue, self._queue, method, partial(self._accept, method))

    def _ask_unknown(self) -> None:
        """Request one more call of an unknown method."""
        with self._lock:
            if self._asking:
                self._core.request_call(self._queue, self._queue, self._refuse)

    def _refuse(self, asked: cygrpc.RequestCallEvent) -> None:
        if not asked.success:  # the server stops
            return
        self._ask_unknown()
        observe_call("unknown", StatusCode.UNIMPLEMENTED.name, 0)
        context = _Context(asked, self._receive)
        context.fail(StatusCode.UNIMPLEMENTED)
        context.set_trailing_metadata(((request_ids.NAME, request_ids.of_metadata(context.invocation_metadata())),))
        self._finish(context, (cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),))

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
        context = _Context(asked, self._receive)
        context.answering = self._handle(method, context)
        self._continue(context, None)

    def _continue(self, context: _Context, sent: Any) -> None:  # noqa: ANN401 - its answer, or an Exception
        """Continue the handler of a call."""
        if context.received:
            context.received.get_loop().call_soon_threadsafe(_settle, context.received, sent)
            return
        answering = context.answering
        try:
            waits_for = answering.throw(sent) if isinstance(sent, Exception) else answering.send(sent)
        except StopIteration:
            self._finish(context, (cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),))
            return
        if waits_for is _MESSAGE:
            self._receive(context)
            return
        if isinstance(waits_for, Job):
            self._jobs.append((context, waits_for))
            return
        context.loop = self._loop
        task = asyncio.run_coroutine_threadsafe(answering, self._loop)
        task.add_done_callback(lambda _: self._finish(context))
        close = (cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),)
        self._batch(context.call, close, lambda _: task.cancel())  # does nothing if it has ended

    def _receive(self, context: _Context) -> None:
        """Receive the message of a call; if too many calls wait, end one that was most likely sent without."""
        oldest = None
        with self._lock:
            if len(self._arriving) >= MAX_ARRIVING_CALLS:
                oldest = dispensable(self._arriving)
                del self._arriving[oldest]
            self._arriving[context] = time.monotonic()
        if oldest:
            self._continue(oldest, OverloadedError())
        self._batch(context.call, (cygrpc.ReceiveMessageOperation(_NO_FLAGS),), partial(self._received, context))

    def _received(self, context: _Context, received: cygrpc.BatchOperationEvent) -> None:
        with self._lock:
            waits = self._arriving.pop(context, None) is not None
        if waits:  # otherwise it has ended
            message = received.batch_operations[0].message()
            self._continue(context, grpc.aio.EOF if message is None else message)

    async def _handle(self, method: str, context: _Context) -> None:
        """Run the handler of a call; the context then has its answer or status."""
        try:
            handler = await self._find(0, _Details(method, context.invocation_metadata()))
            await handler.stream_stream(None, context)
        except (grpc.aio.AbortError, asyncio.CancelledError):
            context.fail(StatusCode.CANCELLED)
        except Exception as error:  # noqa: BLE001 - as grpc.aio does
            request_id = request_ids.of_metadata(context.invocation_metadata())
            context.set_trailing_metadata(((request_ids.NAME, request_id),))
            logger.error("%s in %s", type(error).__name__, method, extra={"request": request_id})  # noqa: TRY400 - without its message
            context.fail(StatusCode.UNKNOWN)

    async def _find(self, place: int, details: _Details) -> Any:  # noqa: ANN401
        """Return the handler of a method, passed through the interceptors from `place` on."""
        if place == len(self._interceptors):
            return self._handlers[details.method]
        return await self._interceptors[place].intercept_service(partial(self._find, place + 1), details)

    def _finish(self, context: _Context, close: tuple[cygrpc.Operation, ...] = ()) -> None:
        """Send the answer and the status; if too many answers are unread, end the oldest of their calls."""
        if len(self._leaving) >= MAX_LEAVING_CALLS and (oldest := self._oldest(self._leaving, inf)):
            oldest.call.cancel()
        with self._lock:
            self._leaving[context] = time.monotonic()
        operations = (
            cygrpc.SendInitialMetadataOperation((), _NO_FLAGS),
            *((cygrpc.SendMessageOperation(context.answer, _NO_FLAGS),) if context.code() is None else ()),
            cygrpc.SendStatusFromServerOperation(*context.status(), _NO_FLAGS),
            *close,
        )
        self._batch(context.call, operations, partial(self._left, context))

    def _left(self, context: _Context, _: cygrpc.BatchOperationEvent) -> None:
        with self._lock:
            self._leaving.pop(context, None)
        context.end()


class _Details(NamedTuple):
    """The details of a call, as interceptors get them."""

    method: str
    invocation_metadata: _Metadata


class _Context:
    """The part of `grpc.aio.ServicerContext` that a unary handler may use."""

    answering: Coroutine[Any, Any, None]
    """The handler."""
    loop: asyncio.AbstractEventLoop | None = None
    """The task that continues it in the event loop."""
    received: asyncio.Future[bytes] | None = None
    """The message that this task awaits."""
    answer = b""

    def __init__(self, asked: cygrpc.RequestCallEvent, receive: Callable[[_Context], None]) -> None:
        self.call = asked.call
        self._asked = asked
        self._receive = receive
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

    async def read(self) -> bytes:
        """Return the next message, or `grpc.aio.EOF`."""
        if self.loop is None:
            return await _message()
        self.received = self.loop.create_future()
        self._receive(self)
        return await self.received

    async def write(self, message: bytes) -> None:
        """Set the answer, which is sent when the handler has ended."""
        self.answer = message

    def end(self) -> None:
        """Call the callbacks that wait for the end of the call."""
        for callback in self._callbacks:
            callback(self)

    def fail(self, code: StatusCode) -> None:
        """Set an error status, if there is none yet."""
        self._code = self._code or code

    def status(self) -> tuple[_Metadata, int, bytes]:
        """Return trailing metadata, code and details of the status."""
        code: int = (self._code or StatusCode.OK).value[0]
        return self._trailing_metadata, code, self._details.encode()


@coroutine
def _message() -> Generator[object, bytes, bytes]:
    return (yield _MESSAGE)


def _settle(received: asyncio.Future[Any], result: bytes | Exception | None) -> None:
    if received.done():  # the call was cancelled
        return
    if isinstance(result, Exception):
        received.set_exception(result)
    else:
        received.set_result(result)
