"""A client that calls gRPC methods with bytes as messages."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import grpc

from loadtest.fuzz.oracle import LATE, SECONDS, SILENCE, Outcome, judge_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from loadtest.fuzz.clock import Clock
    from loadtest.fuzz.inputs import Call, Service

_OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 2**16),  # of the received metadata
    ("grpc.absolute_max_metadata_size", 2**16),
    ("grpc.enable_retries", 0),
)

_UNHEARD: Final = "Internal error from Core"
"""Message of grpc.aio if a stream ended while it was sending, in place of the server's status."""


class Caller:
    """A client with its own connection; create and use it in an event loop."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    @cached_property
    def channel(self) -> grpc.aio.Channel:
        """The connection."""
        return grpc.aio.insecure_channel("{}:{}".format(*self._service.grpc), _OPTIONS)

    async def call(self, sent: Call) -> Outcome:
        """Call a method, and judge the answer."""
        started = self._clock.now()
        if sent.streaming:
            messages = _send(sent.messages, silent=sent.silent)
            call = self.channel.stream_stream(sent.method)(messages, sent.timeout, sent.metadata)
        else:
            call = self.channel.unary_unary(sent.method)(sent.messages[0], timeout=sent.timeout, metadata=sent.metadata)
        if sent.cancel_after is not None:
            asyncio.get_running_loop().call_later(sent.cancel_after, call.cancel)
        outcome = await self._ended(call, sent)
        # Each chunk has its own answer.
        most = SILENCE if sent.silent else SECONDS * max(1, len(sent.messages) / 100)
        if self._clock.now() - started > most:
            return Outcome("late", LATE)
        return outcome

    async def _ended(self, call: Any, sent: Call) -> Outcome:  # noqa: ANN401
        try:
            if sent.unread:
                return Outcome(str((await call.code()).name))
            answer = b"".join([part async for part in call]) if sent.streaming else await call
            # Values are not searched: reflection copies its request.
            return Outcome("OK", "OK repeats the key" if self._service.key.encode() in answer else None)
        except asyncio.CancelledError:
            if not call.cancelled():  # this task is ending
                raise
            return Outcome("CANCELLED")
        except grpc.aio.AioRpcError as error:
            if error.details() == _UNHEARD:
                return Outcome("ended before all was sent")
            trailing = repr(tuple(error.trailing_metadata() or ())).encode()
            return judge_call(error.code(), error.details(), trailing, self._service.key)

    async def close(self) -> None:
        """Close the connection."""
        await self.channel.close()


async def _send(messages: Sequence[bytes], *, silent: bool) -> AsyncIterator[bytes]:
    for message in messages:
        yield message
    if silent:
        await asyncio.Event().wait()
