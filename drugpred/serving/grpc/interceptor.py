"""The interceptor of every call: authorization, receiving, limits, errors and metrics."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode
from opentelemetry.trace import INVALID_SPAN, use_span

from drugpred.errors import PayloadTooLargeError, RequestError, RequestTimeoutError
from drugpred.limits import (
    MAX_ARRIVING_CALLS,
    MAX_CALLS,
    MAX_CALLS_EACH,
    MAX_OPEN_CALLS,
    MAX_UNREAD_MESSAGE_BYTES,
    STREAM_IDLE_TIMEOUT,
    WRITE_TIMEOUT,
)
from drugpred.monitoring.metrics import observe_call
from drugpred.serving import request_ids
from drugpred.serving.access.api_keys import Scope
from drugpred.serving.access.policy import ANY_KEY, HEALTH, AccessRule, caller_name, extract_key
from drugpred.serving.capacity import CapacityLimiter
from drugpred.serving.grpc import message_limits
from drugpred.serving.grpc.errors import CallStatus, status_of
from drugpred.serving.grpc.in_flight import InFlightCalls
from drugpred.serving.grpc.timeouts import CallSlots
from drugpred.serving.grpc.tracing import end_span, start_span, tracer_of
from drugpred.serving.grpc.write_budget import WriteBudget

if TYPE_CHECKING:
    from collections.abc import Collection

    from opentelemetry.trace import Span

    from drugpred.serving.access.policy import AccessPolicy

logger = logging.getLogger(__name__)

_HEALTH_SERVICE: Final = "/grpc.health."
_REFLECTION_SERVICE: Final = "/grpc.reflection."
_RULES: Final = {
    **dict.fromkeys(("ServerLive", "ServerReady", "ModelReady"), HEALTH),
    **dict.fromkeys(("Predict", "PredictBatch", "PredictStream", "ModelInfer"), AccessRule(scope=Scope.PREDICT)),
    **dict.fromkeys(("GetModel", "ServerMetadata", "ModelMetadata"), AccessRule(scope=Scope.READ)),
}

_SHORT: Final = 64 * 2**10  # bytes of a message of a method that is not in `message_limits.LIMITS`, as over HTTP
_ROUNDING: Final = 0.01  # share by which a client rounds its timeout up when it sends it
_JITTER_SECONDS: Final = 0.02  # difference between the delays of a call and of its cancellation

_Behaviour = Callable[[Any, grpc.aio.ServicerContext], Any]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Interceptor that authorizes every call, ends it with a suitable status, and counts it.

    A call is authorized first, by its metadata. Then its message is received. From then until its answer is sent, the
    call holds one of a bounded number of slots.

    A malformed request ends with INVALID_ARGUMENT. Any other exception of a handler ends with INTERNAL; neither the
    client nor the log gets its message, because it may hold a person's values.
    """

    unary_methods: Collection[str] = ()
    """Methods that `grpc_unary` answers, which limits them itself."""

    def __init__(self, policy: AccessPolicy) -> None:
        self.in_flight = InFlightCalls()
        self.policy = policy
        self.answers = WriteBudget(MAX_UNREAD_MESSAGE_BYTES, WRITE_TIMEOUT)
        self._slots = CallSlots(MAX_CALLS, MAX_CALLS_EACH)
        self._keyless_slots = CallSlots(MAX_ARRIVING_CALLS, MAX_ARRIVING_CALLS)
        self._handlers: dict[str, grpc.RpcMethodHandler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Return the handler of a method, wrapped once as a handler of streams of bytes."""
        method = handler_call_details.method
        wrapped = self._handlers.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:  # under one name: names that callers make up must not become labels of metrics
                observe_call("unknown", StatusCode.UNIMPLEMENTED.name, 0)
                return None
            wrapped = self._handlers[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        rule, short = _rule_for(method), method.startswith("/grpc.")
        # A health watch lasts until the client ends it, so shutdown does not wait for it.
        call = _Method(method, handler, self, InFlightCalls() if short else self.in_flight, rule)
        if method not in self.unary_methods:
            call.slots = self._slots if rule.key else self._keyless_slots
        if short or not rule.key:
            call.bound = CapacityLimiter(MAX_OPEN_CALLS)
        return grpc.stream_stream_rpc_method_handler(call.answer, None, call.serialize)


def _rule_for(method: str) -> AccessRule:
    if method.startswith(_HEALTH_SERVICE):
        return HEALTH
    if method.startswith(_REFLECTION_SERVICE):
        return AccessRule(scope=Scope.READ)
    return _RULES.get(method.rpartition("/")[2], ANY_KEY)


class _NoMessageError(Exception):
    """A call has no message."""


class _Method:
    """A method with its limits."""

    slots: CallSlots | None = None
    """Slots of calls that wait for their message, and of calls that nothing else limits."""
    bound: CapacityLimiter | None = None
    """Slots of calls whose message has arrived."""

    def __init__(
        self,
        method: str,
        handler: grpc.RpcMethodHandler,
        interceptor: CallInterceptor,
        in_flight: InFlightCalls,
        rule: AccessRule,
    ) -> None:
        self._name = method.removeprefix("/")
        self._behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        self._streams = handler.request_streaming
        self._deserialize, self._serialize = handler.request_deserializer, handler.response_serializer
        self._generates = inspect.isasyncgenfunction(self._behaviour)
        self._writes = handler.response_streaming and not self._generates
        self.serialize = self._serialize if self._writes else None
        self._policy = None if interceptor.policy.open else interceptor.policy
        self._answers = interceptor.answers
        self._in_flight = in_flight
        self._rule = rule
        self._limits = message_limits.LIMITS.get(method.rpartition("/")[2])
        self._tracer = tracer_of(method)

    async def answer(self, _: object, context: grpc.aio.ServicerContext) -> None:
        """Answer a call, and count it with its status."""
        started = perf_counter()
        code = StatusCode.OK
        request_id = request_ids.of_metadata(context.invocation_metadata())
        trailer = (request_ids.NAME, request_id)
        context.set_trailing_metadata((trailer,))
        span: Span = INVALID_SPAN
        if self._tracer is not None:
            metadata, address = context.invocation_metadata(), _address(context.peer())
            span = start_span(self._tracer, self._name, metadata, address, request_id)
        try:
            error = await self._answer(context, request_id, span)
            if error is not None:
                code = error.code
                error = CallStatus(code, error.details, (*error.trailing_metadata, trailer))
                # Not in the except clause: the exception raised here would refer to the one caught there, which refers
                # to the request, and grpc keeps the exception in a reference cycle until the collector runs.
                await context.abort_with_status(error)
        except asyncio.CancelledError:
            code = _cancelled(context, perf_counter() - started)
            raise
        except grpc.aio.BaseError as error:  # a handler or the client ended the call
            aborted = isinstance(error, grpc.aio.AbortError) and context.code()
            code = aborted or _cancelled(context, perf_counter() - started)
            error.__context__ = None
            raise error.with_traceback(None) from None
        finally:
            observe_call(self._name, code.name, perf_counter() - started)
            if span is not INVALID_SPAN:
                end_span(span, code)

    async def _answer(self, context: grpc.aio.ServicerContext, request_id: str, span: Span) -> grpc.Status | None:
        """Answer a call; return a status if it fails."""
        try:
            await self._in_flight.enter(context)
            await self._run(context)
        except grpc.aio.BaseError:
            raise
        except RequestError as error:
            return status_of(error)
        except _NoMessageError:
            return CallStatus(StatusCode.UNIMPLEMENTED, "expected one message")
        except DecodeError:
            return CallStatus(StatusCode.INVALID_ARGUMENT, "expected a message as the .proto file describes it")
        except Exception as error:  # noqa: BLE001 - the caller must get an answer
            frames = "".join(traceback.format_tb(error.__traceback__))
            known = {"request": request_id}
            with use_span(span):  # the line has its ids
                logger.error("%s in %s:\n%s", type(error).__name__, self._name, frames, extra=known)  # noqa: TRY400 - without its message
            return CallStatus(StatusCode.INTERNAL, "an unexpected error; see the server's log")
        return None

    async def _run(self, context: grpc.aio.ServicerContext) -> None:
        if self._policy:
            await self._policy.authorize(self._rule, _key(context), _address(context.peer()))
        message = await (self._receive(self.slots, context) if self.slots else context.read())
        if self._streams:
            answering = self._behaviour(_Requests(self, context, message), context)
        elif message is grpc.aio.EOF:
            await _until_cancelled(context)
            raise _NoMessageError
        else:
            answering = self._behaviour(self.decode(message), context)
        del message  # frees the bytes
        if self._generates:
            async with aclosing(answering):
                async for answer in answering:
                    serialized = self._serialized(answer)
                    del answer
                    await self._write(serialized, context)
        elif self._writes:
            await answering
        else:
            await self._write(self._serialized(await answering), context)

    async def _receive(self, slots: CallSlots, context: grpc.aio.ServicerContext) -> bytes:
        """Return the first message of a call, which keeps a slot until its answer is sent."""
        caller = caller_name()
        message = await slots.acquire(context)
        if self.bound is None:
            context.add_done_callback(lambda _: slots.release(caller))
            return message
        bound = self.bound
        slots.release(caller)
        bound.acquire(1)
        context.add_done_callback(lambda _: bound.release(1))
        return message

    def _serialized(self, answer: Any) -> Any:  # noqa: ANN401
        return self._serialize(answer) if self._serialize and not isinstance(answer, bytes) else answer

    async def _write(self, serialized: bytes, context: grpc.aio.ServicerContext) -> None:
        """Send an answer; a long one waits for its share of the write budget."""
        counted = len(serialized) if len(serialized) > _SHORT else 0
        if counted:
            await self._answers.acquire(counted)
        try:
            await context.write(serialized)
        finally:
            if counted:
                self._answers.release(counted)

    def decode(self, message: bytes) -> Any:  # noqa: ANN401
        """Return the parsed message, after a check of its size."""
        if self._limits:
            message_limits.check(message, self._limits)
        elif len(message) > _SHORT:
            raise PayloadTooLargeError(_SHORT)
        return self._deserialize(message) if self._deserialize else message

    async def receive_next(self, context: grpc.aio.ServicerContext) -> bytes:
        """Return the next message of a stream; each counts as a call towards the rate limit."""
        try:
            async with asyncio.timeout(STREAM_IDLE_TIMEOUT):
                message: bytes = await context.read()
        except TimeoutError:
            raise RequestTimeoutError(STREAM_IDLE_TIMEOUT) from None
        if self._policy and message is not grpc.aio.EOF:
            await self._policy.authorize(self._rule, _key(context), _address(context.peer()))
        return message


class _Requests:
    """The messages of a call. Unlike a generator, it does not keep a reference to the message that it returned."""

    def __init__(self, method: _Method, context: grpc.aio.ServicerContext, first: bytes) -> None:
        self._method, self._context = method, context
        self._first: bytes | None = first

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401
        message, self._first = self._first, None
        if message is None:
            message = await self._method.receive_next(self._context)
        if message is grpc.aio.EOF:
            await _until_cancelled(self._context)
            raise StopAsyncIteration
        return self._method.decode(message)


async def _until_cancelled(context: grpc.aio.ServicerContext) -> None:
    """Wait until the task of a call without more messages is cancelled, if it is because the call was cancelled."""
    await asyncio.sleep(0)  # grpc_unary's thread continues in the event loop
    await context.read()  # its event comes after that of the cancellation


def _cancelled(context: grpc.aio.ServicerContext, elapsed: float) -> StatusCode:
    """Return why a call was cancelled: an expired client and one that left send the same cancellation.

    The client's deadline passes slightly before the server's, because a timeout is rounded up when it is sent.
    """
    remaining = context.time_remaining()
    if remaining is None or remaining > _JITTER_SECONDS + (remaining + elapsed) * _ROUNDING:
        return StatusCode.CANCELLED
    return StatusCode.DEADLINE_EXCEEDED


def _key(context: grpc.aio.ServicerContext) -> str | bytes | None:
    """Return the API key of a call, or None."""
    metadata = dict(context.invocation_metadata())
    return extract_key(metadata.get("authorization"), metadata.get("x-api-key"))


def _address(peer: str) -> str:
    """Return the address in `ipv4:127.0.0.1:5000` or `ipv6:[::1]:5000`, whose brackets may be escaped."""
    return unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]")
