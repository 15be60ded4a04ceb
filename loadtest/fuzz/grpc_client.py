"""Calls gRPC methods with bytes as messages."""

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
    ("grpc.max_metadata_size", 2**16),  # of what comes
    ("grpc.absolute_max_metadata_size", 2**16),
    ("grpc.enable_retries", 0),
)

_UNHEARD: Final = "Internal error from Core"
"""What grpc.aio itself says where a stream ended while it was sending, in place of how the server ended it."""


class Caller:
    """A client with a connection of its own; to be made and used in an event loop."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    @cached_property
    def channel(self) -> grpc.aio.Channel:
        """The connection."""
        return grpc.aio.insecure_channel("{}:{}".format(*self._service.grpc), _OPTIONS)

    async def call(self, sent: Call) -> Outcome:
        """Call and judge what comes back."""
        started = self._clock.now()
        if sent.streaming:
            messages = _send(sent.messages, silent=sent.silent)
            call = self.channel.stream_stream(sent.method)(messages, sent.timeout, sent.metadata)
        else:
            call = self.channel.unary_unary(sent.method)(sent.messages[0], timeout=sent.timeout, metadata=sent.metadata)
        if sent.cancel_after is not None:
            asyncio.get_running_loop().call_later(sent.cancel_after, call.cancel)
        outcome = await self._ended(call, sent)
        # A chunk is an answer of its own.
        most = SILENCE if sent.silent else SECONDS * max(1, len(sent.messages) / 100)
        if self._clock.now() - started > most:
            return Outcome("late", LATE)
        return outcome

    async def _ended(self, call: Any, sent: Call) -> Outcome:  # noqa: ANN401
        try:
            if sent.unread:
                return Outcome(str((await call.code()).name))
            answer = b"".join([part async for part in call]) if sent.streaming else await call
            # Values are not looked for: reflection answers with what was asked.
            return Outcome("OK", "OK repeats the key" if self._service.key.encode() in answer else None)
        except asyncio.CancelledError:
            if not call.cancelled():  # it is this task that ends
                raise
            return Outcome("CANCELLED")
        except grpc.aio.AioRpcError as error:
            if error.details() == _UNHEARD:
                return Outcome("ended before all was sent")
            trailing = repr(tuple(error.trailing_metadata() or ())).encode()
            return judge_call(error.code(), error.details(), trailing, self._service.key)

    async def close(self) -> None:
        """End the connection."""
        await self.channel.close()


async def _send(messages: Sequence[bytes], *, silent: bool) -> AsyncIterator[bytes]:
    for message in messages:
        yield message
    if silent:
        await asyncio.Event().wait()
