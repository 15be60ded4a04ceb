"""What happens around every call: refusals, faults, deadlines, counts."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode

from drugpred.serving.admission import ANY_KEY, HEALTH, Need, NotAdmittedError, presented
from drugpred.serving.keys import Scope
from drugpred.serving.load import Bound
from drugpred.serving.rpc import telemetry
from drugpred.serving.rpc.gate import Gate
from drugpred.serving.rpc.refusals import Malformed

if TYPE_CHECKING:
    from collections.abc import Collection

    from drugpred.serving.admission import Admission

__all__ = ["MOST_CALLS", "Guard"]

logger = logging.getLogger(__name__)

_HEALTH_SERVICE: Final = "/grpc.health."
_REFLECTION_SERVICE: Final = "/grpc.reflection."
_NEEDS: Final = {
    **dict.fromkeys(("ServerLive", "ServerReady", "ModelReady"), HEALTH),
    **dict.fromkeys(("Predict", "PredictBatch", "PredictStream", "ModelInfer"), Need(scope=Scope.PREDICT)),
    **dict.fromkeys(("GetModel", "ServerMetadata", "ModelMetadata"), Need(scope=Scope.READ)),
}

_CODES: Final = {
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    413: StatusCode.RESOURCE_EXHAUSTED,
    429: StatusCode.RESOURCE_EXHAUSTED,
    503: StatusCode.UNAVAILABLE,
}
"""By HTTP's status."""

MOST_CALLS: Final = 64
"""In progress at once, each of which may hold the longest message."""

_MOST_WATCHING: Final = 1000
"""Of each method of health and reflection, whose messages are short."""

_Behaviour = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]


class Guard(grpc.aio.ServerInterceptor):
    """Lets in whom `admission` does, ends every call with a proper status, and counts it.

    A malformed request is INVALID_ARGUMENT; any other exception of a handler is INTERNAL, of which neither the client
    nor the log sees the message, because it may hold a person's values.
    """

    def __init__(self, admission: Admission, lane: Collection[str] = ()) -> None:
        self.gate = Gate()
        self._calls = Bound(MOST_CALLS)
        self._lane = lane
        self._admission = admission
        self._guarded: dict[str, grpc.RpcMethodHandler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Return the handler of a method, wrapped once."""
        method = handler_call_details.method
        guarded = self._guarded.get(method)
        if guarded is None:
            handler = await continuation(handler_call_details)
            if handler is None:  # by any name: names that callers make up are no labels of metrics
                telemetry.observe("unknown", StatusCode.UNIMPLEMENTED.name, 0)
                return None
            guarded = self._guarded[method] = _guard(
                method,
                handler,
                # Who watches the health does so for ever, and is not waited for.
                Gate() if method.startswith("/grpc.") else self.gate,
                self._admission,
                self._bound(method),
            )
        return guarded

    def _bound(self, method: str) -> Bound | None:
        """Return what bounds the calls of a method; those of a lane end before another one begins."""
        if method in self._lane:
            return None
        return Bound(_MOST_WATCHING) if method.startswith("/grpc.") else self._calls


def _need_of(method: str) -> Need:
    if method.startswith(_HEALTH_SERVICE):
        return HEALTH
    if method.startswith(_REFLECTION_SERVICE):
        return Need(scope=Scope.READ)
    return _NEEDS.get(method.rpartition("/")[2], ANY_KEY)


def _guard(
    method: str, handler: grpc.RpcMethodHandler, gate: Gate, admission: Admission, bound: Bound | None
) -> grpc.RpcMethodHandler:
    name = method.removeprefix("/")
    behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    if inspect.isasyncgenfunction(behaviour):
        behaviour = _writing(behaviour)
    deserialize = handler.request_deserializer
    if not handler.request_streaming:
        # Inside the guard, because grpc would log what it cannot read as a fault.
        behaviour, deserialize = _reading(behaviour, deserialize), None
    if not admission.open:
        behaviour = _admitting(behaviour, admission, _need_of(method), streaming=handler.request_streaming)
    if bound:
        behaviour = _bounded(behaviour, bound)
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(_ending(name, behaviour, gate), deserialize, handler.response_serializer)


def _reading(behaviour: _Behaviour, deserialize: Callable[[bytes], Any]) -> _Behaviour:
    def read(request: bytes, context: grpc.aio.ServicerContext) -> Awaitable[Any]:
        return behaviour(deserialize(request), context)

    return read


def _admitting(behaviour: _Behaviour, admission: Admission, need: Need, *, streaming: bool) -> _Behaviour:
    async def admit(request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: ANN401
        key, address = _key(context), _address(context.peer())

        async def each() -> AsyncIterator[Any]:
            first = True
            async for message in request:
                if not first:  # which came with the call
                    await admission.check(need, key, address)
                first = False
                yield message

        await admission.check(need, key, address)
        return await behaviour(each() if streaming else request, context)

    return admit


def _bounded(behaviour: _Behaviour, bound: Bound) -> _Behaviour:
    async def hold(request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: ANN401
        bound.take(1)
        try:
            return await behaviour(request, context)
        finally:
            bound.give(1)

    return hold


def _key(context: grpc.aio.ServicerContext) -> str | bytes | None:
    """Return the key that came with a call."""
    metadata = dict(context.invocation_metadata())
    return presented(metadata.get("authorization"), metadata.get("x-api-key"))


def _address(peer: str) -> str:
    """Return the address of `ipv4:127.0.0.1:5000` or `ipv6:[::1]:5000`, of which the brackets may be escaped."""
    return unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]")


def _writing(behaviour: Callable[[Any, grpc.aio.ServicerContext], Any]) -> _Behaviour:
    async def write(requests: Any, context: grpc.aio.ServicerContext) -> None:  # noqa: ANN401
        async for response in behaviour(requests, context):
            await context.write(response)

    return write


def _ending(name: str, behaviour: _Behaviour, gate: Gate) -> _Behaviour:
    async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: ANN401
        started = perf_counter()
        code = StatusCode.OK
        try:
            await gate.enter(context)
            return await behaviour(request, context)
        except asyncio.CancelledError:
            code = StatusCode.DEADLINE_EXCEEDED if context.time_remaining() == 0 else StatusCode.CANCELLED
            raise
        except grpc.aio.BaseError:  # a handler ended the call, or the client did
            code = context.code() or StatusCode.CANCELLED
            raise
        except Malformed as error:
            code = StatusCode.INVALID_ARGUMENT
            await context.abort_with_status(error.status())
        except NotAdmittedError as error:
            code = _CODES[error.status]
            metadata = () if error.retry_after is None else (("retry-after", str(int(error.retry_after))),)
            await context.abort(code, str(error), metadata)
        except DecodeError:
            code = StatusCode.INVALID_ARGUMENT
            await context.abort(code, "expected a message as the .proto file describes it")
        except Exception as error:  # noqa: BLE001 - the caller gets an answer whatever happens
            code = StatusCode.INTERNAL
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("%s in %s:\n%s", type(error).__name__, name, frames)  # noqa: TRY400 - without its message
            await context.abort(code, "an unexpected error; the server's log tells where")
        finally:
            telemetry.observe(name, code.name, perf_counter() - started)

    return call
