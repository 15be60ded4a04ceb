"""How the requests of a call arrive, for which grpc.aio waits for ever, and whose absence it never answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc import StatusCode

from drugpred.serving.protocol import ARRIVAL_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["bounded"]

SILENCE_SECONDS: Final = 300.0
"""After which a stream that says nothing is ended."""

_NONE: Final = object()


def bounded(handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
    """Return a handler whose calls end where a request does not arrive in time, with DEADLINE_EXCEEDED.

    One of a single request becomes one of many that takes the first; without any its calls end with UNIMPLEMENTED.
    """
    if handler.request_streaming:
        return _listening(handler)
    behaviour = handler.unary_unary or handler.unary_stream

    async def take(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> Any:  # noqa: ANN401
        request = await _next(requests, context, ARRIVAL_SECONDS)
        if request is _NONE:
            await context.abort(StatusCode.UNIMPLEMENTED, "expected one message")
        return await behaviour(handler.request_deserializer(request), context)

    make = grpc.stream_stream_rpc_method_handler if handler.response_streaming else grpc.stream_unary_rpc_method_handler
    return make(take, None, handler.response_serializer)


def _listening(handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
    async def each(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        while (request := await _next(requests, context, SILENCE_SECONDS)) is not _NONE:
            yield request

    async def listen(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        async for answer in handler.stream_stream(each(requests, context), context):
            yield answer

    return grpc.stream_stream_rpc_method_handler(listen, handler.request_deserializer, handler.response_serializer)


async def _next(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext, seconds: float) -> Any:  # noqa: ANN401
    try:
        async with asyncio.timeout(seconds):
            return await anext(requests, _NONE)
    except TimeoutError:
        await context.abort(StatusCode.DEADLINE_EXCEEDED, f"expected a request within {seconds:.0f} seconds")
