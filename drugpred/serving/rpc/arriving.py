"""How the request of a call arrives, for which grpc.aio waits for ever, and whose absence it never answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc import StatusCode

from drugpred.serving.protocol import ARRIVAL_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["bounded"]

_NONE: Final = object()


def bounded(handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
    """Return a handler as one of many requests, which takes the first if it arrives in time.

    Without one its calls end with UNIMPLEMENTED, and with DEADLINE_EXCEEDED after 10 seconds. One that takes many
    requests is returned as it is.
    """
    if handler.request_streaming:
        return handler
    behaviour = handler.unary_unary or handler.unary_stream

    async def take(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> Any:  # noqa: ANN401
        try:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                request = await anext(requests, _NONE)
        except TimeoutError:
            text = f"expected the request within {ARRIVAL_SECONDS:.0f} seconds"
            await context.abort(StatusCode.DEADLINE_EXCEEDED, text)
        if request is _NONE:
            await context.abort(StatusCode.UNIMPLEMENTED, "expected one message")
        return await behaviour(handler.request_deserializer(request), context)

    make = grpc.stream_stream_rpc_method_handler if handler.response_streaming else grpc.stream_unary_rpc_method_handler
    return make(take, None, handler.response_serializer)
