"""Sends bytes on connections and reads the answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final

from loadtest.fuzz import frames
from loadtest.fuzz.inputs import Exchange, Mode, Port
from loadtest.fuzz.oracle import LATE, SECONDS, SILENCE, Outcome, judge_response, repeats
from loadtest.harness.http1 import read_response

if TYPE_CHECKING:
    from loadtest.fuzz.clock import Clock
    from loadtest.fuzz.inputs import Service
    from loadtest.harness.http1 import Response

_MAX: Final = 15.0  # seconds until the client stops waiting
_QUIET: Final = 0.1  # seconds without a byte until the server counts as waiting
_LATER: Final = 0.01  # seconds between headers and body, if they are sent separately
_UNREAD: Final = 0.5  # seconds for which a client reads nothing
_RESET: Final = struct.pack("ii", 1, 0)
_LIMIT: Final = 2**26


class Connection:
    """A connection to one of the ports, opened when needed; one exchange at a time."""

    def __init__(self, service: Service, port: Port, clock: Clock) -> None:
        self._address = service.http if port is Port.HTTP else service.grpc
        self._key = service.key
        self._clock = clock
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, sent: Exchange) -> Outcome:
        """Send an input, and judge the answer."""
        if not sent.keep or (self._streams and self._streams[1].is_closing()):
            self.close()
        used = self._streams is not None
        try:
            async with asyncio.timeout(_MAX):
                outcome = await self._exchange(sent)
                if outcome.status == "closed" and used:  # an idle connection was closed: not the subject of this test
                    self.close()
                    outcome = await self._exchange(sent)
        except TimeoutError:
            outcome = Outcome("none", LATE)
        except ConnectionRefusedError:
            outcome = Outcome("refused", "the port refuses connections")
        if not sent.keep or outcome.fault or outcome.status == "closed":
            self.close()
        return outcome

    def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, sent: Exchange) -> Outcome:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=_LIMIT)
        reader, writer = self._streams
        if sent.mode is Mode.UNREAD:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # an asyncio.Transport
        with contextlib.suppress(
            ConnectionError, RuntimeError
        ):  # uvloop raises RuntimeError if the server closed the connection
            await _write(sent, writer)
        if sent.mode in {Mode.CUT, Mode.RESET, Mode.UNREAD}:
            return await self._leave(sent.mode, writer)
        if sent.mode is Mode.WAIT:
            return await self._all(sent, reader, writer)
        started = self._clock.now()
        if sent.port is Port.GRPC:
            outcome = await _end_of_call(reader, self._key)
            return outcome if self._clock.now() - started <= SILENCE else Outcome("late", LATE)
        answer = await _answer(reader, sent)
        if self._clock.now() - started > (SILENCE if sent.mode is Mode.SLOW else SECONDS):
            return Outcome("late", LATE)
        if answer is None:
            # The connection was new and the request of moderate size, so it must be answered.
            return Outcome("closed", "closed without an answer" if sent.mode is Mode.ANSWER else None)
        if answer.headers.get("connection") == "close":
            self.close()
        return judge_response(answer, self._key)

    async def _leave(self, mode: Mode, writer: asyncio.StreamWriter) -> Outcome:
        """Close the connection before its answer is read."""
        await asyncio.sleep(_UNREAD if mode is Mode.UNREAD else 0)
        if mode is Mode.RESET and not writer.is_closing():
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()
        return Outcome("unread" if mode is Mode.UNREAD else "cut")

    async def _all(self, sent: Exchange, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Outcome:
        """Return the worst answer until the server closes the connection; the end of the input is sent first."""
        received = asyncio.StreamReader(_LIMIT)
        content = b""
        with contextlib.suppress(ConnectionError, RuntimeError):
            with contextlib.suppress(TimeoutError):
                while part := await asyncio.wait_for(reader.read(2**16), _QUIET):
                    content += part
            writer.write_eof()
            started = self._clock.now()
            content += await reader.read()
            if self._clock.now() - started > SECONDS:
                return Outcome("late", LATE)
        if sent.port is Port.GRPC:
            return _of_frames(content, self._key)
        received.feed_data(content)
        received.feed_eof()
        outcomes = []
        while answer := await _answer(received, sent):
            outcomes.append(judge_response(answer, self._key))
        if sent.requests is not None and len(outcomes) > sent.requests:
            return Outcome("many", f"{len(outcomes)} answers to {sent.requests} requests")
        return max(outcomes, key=lambda outcome: (bool(outcome.fault), outcome.status), default=Outcome("closed"))


async def _write(sent: Exchange, writer: asyncio.StreamWriter) -> None:
    data = sent.data
    if sent.requests is not None:  # a careless server takes the rest for the next request
        head, end, data = data.partition(b"\r\n\r\n")
        writer.write(head + end)
        await asyncio.sleep(_LATER)
    writer.write(data)
    await writer.drain()


async def _answer(reader: asyncio.StreamReader, sent: Exchange) -> Response | None:
    """Read one answer; return None if the connection closes before it is complete."""
    try:
        return await read_response(reader, to_head=sent.data.startswith(b"HEAD "))
    except (ConnectionError, asyncio.IncompleteReadError):
        return None


async def _end_of_call(reader: asyncio.StreamReader, key: str) -> Outcome:
    """Return the way in which a server ends a call or its connection."""
    received = []
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            kind, flags, stream, content = await frames.read(reader)
            received.append(frames.frame(kind, flags, stream, content))
            if kind in {3, 7} or (kind == 1 and flags & 1):  # a reset, the end of the connection, or trailers
                break
    return _of_frames(b"".join(received), key)


_FRAMES: Final = {1: "headers", 0: "message", 3: "stream reset", 7: "go away"}


def _of_frames(content: bytes, key: str) -> Outcome:
    """Return the HTTP/2 frames with which a server ended streams or the connection."""
    if repeats(content, key):
        return Outcome("frames", "repeats a sent value")
    kinds, at = set(), 0
    while at + 9 <= len(content):
        kinds.add(content[at + 3])
        at += 9 + int.from_bytes(content[at : at + 3])
    return Outcome(next((name for kind, name in reversed(_FRAMES.items()) if kind in kinds), "closed"))
