"""Attack a running service of this machine for some seconds: python -m loadtest.resilience.attacks NAME --key KEY.

Attacks are limited in time and memory. Prints as JSON the number of requests that were sent, and of those that were
accepted and must not be. `python -m loadtest.resilience.under_attack` measures the effect on other clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections import Counter
from contextlib import suppress
from itertools import cycle, product
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc
import uvloop

from drugpred.limits import MAX_EXPLANATIONS, MAX_PROFILES
from drugpred.model_store import NAME
from drugpred.schemas import EXAMPLE
from loadtest.fuzz import frames
from loadtest.harness import http1
from loadtest.harness.payloads import PREDICT, SERVICE, chunk, draw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_FROM: Final = ("127.0.0.2", 0)  # another address than that of the clients

_PAUSE: Final = 1.0  # seconds until a retry
_PEOPLE: Final = 10_000  # of a chunk of a stream, the maximum
_BYTES: Final = 2_000_000  # of a message, nearly the maximum
_INFERENCE: Final = "/inference.GRPCInferenceService"
_OPTIONS: Final = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))


class Target(NamedTuple):
    """The attacked service, on loopback."""

    port: int
    grpc_port: int
    key: str
    counts: Counter[str]  # requests by outcome: `sent`, and `accepted` for those wrongly accepted

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection("127.0.0.1", port, local_addr=_FROM)


def main() -> None:
    """Attack and print."""
    parser = argparse.ArgumentParser(description="Attack a running service of this machine for some seconds.")
    parser.add_argument("name", choices=ATTACKS)
    parser.add_argument("--port", type=int, default=3000, help="HTTP port (default: %(default)s)")
    parser.add_argument("--grpc-port", type=int, default=3001, help="(default: %(default)s)")
    parser.add_argument("--key", required=True, help="an API key, for attacks with a key")
    parser.add_argument("--seconds", type=float, default=15, help="(default: %(default)s)")
    arguments = parser.parse_args()
    target = Target(arguments.port, arguments.grpc_port, arguments.key, Counter())
    uvloop.run(_run(ATTACKS[arguments.name], target, arguments.seconds))
    print(json.dumps(target.counts))


async def _run(attack: Callable[[Target], Awaitable[None]], target: Target, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await attack(target)
            await asyncio.Event().wait()


# --- over HTTP


def _batch(target: Target, profiles: int, include: str) -> bytes:
    body = json.dumps({"profiles": [EXAMPLE | {"include": [include]}] * profiles}).encode()
    return http1.request("POST", "/predict_batch", body, [http1.JSON, ("x-api-key", target.key)])


async def _again(times: int, once: Callable[[], Awaitable[None]], pause: float = _PAUSE) -> None:
    """Repeat an action, in a number of parallel copies, despite any errors."""

    async def repeat() -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError, grpc.aio.AioRpcError):
                await once()
            await asyncio.sleep(pause)

    async with asyncio.TaskGroup() as group:
        for _ in range(times):
            group.create_task(repeat())


async def _smuggling(target: Target) -> None:
    """Send requests with another request, or another key, in their body."""
    inner = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
    foo = [http1.JSON, ("connection", "upgrade"), ("upgrade", "foo")]
    h2c = [http1.JSON, ("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")]
    lines = ("content-type: application/json", "x-api-key: wrong", "transfer-encoding: chunked")
    chunked = http1.head("POST", "/predict", *lines)
    body = json.dumps(EXAMPLE).encode()
    content = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    requests = [
        http1.request("POST", "/predict", inner, foo),
        http1.request("POST", "/predict", inner, h2c),
        chunked + content + f"x-api-key: {target.key}\r\n\r\n".encode(),
        chunked + content + f"authorization: Bearer {target.key}\r\n\r\n".encode(),
    ]
    tried = cycle(product(requests, (0, 0.05)))

    async def once() -> None:
        reader, writer = await target.connect(target.port)
        received = b""
        try:
            request, pause = next(tried)
            head = request.index(b"\r\n\r\n") + 4 if pause else len(request)
            writer.write(request[:head])
            await asyncio.sleep(pause)  # one packet is parsed differently from two
            writer.write(request[head:])
            target.counts["sent"] += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    while part := await reader.read(2**16):
                        received += part
        finally:
            writer.close()
        if b"HTTP/1.1 200 " in received:  # only the inner request or key can cause it
            target.counts["accepted"] += 1

    await _again(4, once, 0.05)


async def _half_bodies(target: Target) -> None:
    """Send probes bodies that are one byte short, without a key."""
    paths = cycle(["/livez", "/readyz", "/healthz", "/health"])
    body = bytes(4 * 2**20 - 1)

    async def once() -> None:
        reader, writer = await target.connect(target.port)
        try:
            target.counts["sent"] += 1
            writer.write(http1.head("POST", next(paths), f"content-length: {len(body) + 1}") + body)
            await reader.read()
        finally:
            writer.close()

    await _again(4, once)


async def _unread_answers(target: Target) -> None:
    """Request 6 MB on each of many connections, and read nothing."""
    ask = _batch(target, MAX_PROFILES, "windows")
    loop = asyncio.get_running_loop()
    held = []
    for _ in range(82):
        one = socket.socket()
        held.append(one)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        one.bind(_FROM)
        await loop.sock_connect(one, ("127.0.0.1", target.port))
        await loop.sock_sendall(one, ask)
        target.counts["sent"] += 1
    await asyncio.Event().wait()


async def _abandoned_explanations(target: Target) -> None:
    """Request batches of explanations, and disconnect."""
    ask = _batch(target, MAX_EXPLANATIONS, "explanation")

    async def once() -> None:
        _, writer = await target.connect(target.port)
        writer.write(ask)
        target.counts["sent"] += 1
        await asyncio.sleep(0.3)
        writer.close()

    await _again(64, once)


async def _large_batches(target: Target) -> None:
    """Request the largest batches with the longest answers, as many callers."""
    ask = _batch(target, MAX_PROFILES, "windows")

    async def once() -> None:
        reader, writer = await target.connect(target.port)
        try:
            while True:
                target.counts["sent"] += 1
                writer.write(ask)
                if (await http1.read_response(reader)).status != 200:
                    await asyncio.sleep(_PAUSE)
        finally:
            writer.close()

    await _again(60, once)


# --- over gRPC


async def _silent(target: Target, method: str, calls: int, *, again: bool) -> None:
    """Start calls on one connection and send no message."""
    block = frames.headers(*(frames.FIELDS | {b":path": method.encode()}).items())
    reader, writer = await target.connect(target.grpc_port)
    try:
        writer.write(frames.SETTINGS + b"".join(frames.frame(1, 4, 2 * i + 1, block) for i in range(calls)))
        target.counts["sent"] += calls
        following = 2 * calls + 1
        while True:
            kind, flags, stream, content = await frames.read(reader)
            if kind in {4, 6} and not flags & 1:  # settings and pings are acknowledged
                writer.write(frames.frame(kind, 1, 0, content if kind == 6 else b""))
            elif again and stream and (kind == 1 and flags & 1):  # the server has ended a call
                await asyncio.sleep(_PAUSE / calls)
                writer.write(frames.frame(3, 0, stream, bytes(4)) + frames.frame(1, 4, following, block))
                target.counts["sent"] += 1
                following += 2
    finally:
        writer.close()


async def _silent_probes(target: Target) -> None:
    """Start 64 calls that need no key, and send no message."""
    await _again(1, lambda: _silent(target, f"{_INFERENCE}/ServerLive", 64, again=True))


async def _silent_calls(target: Target) -> None:
    """Start 250 calls of the fastest method on each of 300 connections, and send no message."""

    async def one(number: int) -> None:
        await asyncio.sleep(number / 50)
        with suppress(OSError, asyncio.IncompleteReadError):
            await _silent(target, PREDICT, 250, again=False)

    async with asyncio.TaskGroup() as group:
        for number in range(300):
            group.create_task(one(number))


def _channel(target: Target) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{target.grpc_port}", _OPTIONS)


async def _submessages(target: Target) -> None:
    """Send messages with a million empty submessages."""
    tried = cycle(
        [
            (f"{SERVICE}/PredictBatch", b"\x0a\x00" * (_BYTES // 2)),
            (f"{_INFERENCE}/ModelInfer", b"\x0a" + bytes([len(NAME)]) + NAME.encode() + b"\x32\x00" * (_BYTES // 2)),
        ]
    )
    async with _channel(target) as channel:

        async def once() -> None:
            method, message = next(tried)
            target.counts["sent"] += 1
            await channel.unary_unary(method)(message, metadata=(("x-api-key", target.key),))

        await _again(4, once, 0.1)


async def _streams(target: Target) -> None:
    """Send the longest chunks on 64 streams over 16 connections."""
    people = chunk(draw(_PEOPLE))

    async def chunks() -> AsyncIterator[bytes]:
        while True:
            target.counts["sent"] += 1
            yield people

    async def one() -> None:
        async with _channel(target) as channel, asyncio.TaskGroup() as group:
            group.create_task(_again(4, lambda: _read(channel)))

    async def _read(channel: grpc.aio.Channel) -> None:
        async for _ in channel.stream_stream(f"{SERVICE}/PredictStream")(
            chunks(), metadata=(("x-api-key", target.key),)
        ):
            pass

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(one())


async def _nothing(_: Target) -> None:
    """Do nothing, for comparison."""


ATTACKS: Final[dict[str, Callable[[Target], Awaitable[None]]]] = {
    "nothing": _nothing,
    "smuggling": _smuggling,
    "silent-probes": _silent_probes,
    "half-bodies": _half_bodies,
    "silent-calls": _silent_calls,
    "submessages": _submessages,
    "unread-answers": _unread_answers,
    "abandoned-explanations": _abandoned_explanations,
    "large-batches": _large_batches,
    "streams": _streams,
}
"""Attacks by name; each runs until it is cancelled."""


if __name__ == "__main__":
    main()
