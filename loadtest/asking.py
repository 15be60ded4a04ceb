"""Clients that ask all the time and note on which connection a request was lost; no request is sent twice."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import grpc
from people import BATCHES, MESSAGES, PROFILES

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

__all__ = ["Failure", "Selection", "load"]

_CLIENTS: Final = {"kept": 6, "new": 2, "batch": 2, "grpc": 4, "grpc new": 2}

_REQUESTS: Final = 50
"""On one connection, so that all workers have some."""

_PAUSE: Final = 0.005
"""Seconds between requests of a client."""

_PATIENCE: Final = 20
"""Seconds until an answer must have come."""

_METHOD: Final = "/drugpred.v1.DrugPrediction/Predict"


@dataclass(frozen=True)
class Failure:
    """A request without an answer."""

    kind: str
    port: int | None
    """The client's, None over gRPC, which does not tell, and where there was no connection."""
    error: str
    begun: float = 0.0
    """When it was asked, by the monotonic clock."""


@dataclass
class Selection:
    """What became of requests."""

    answered: Counter[str]
    """By kind of client."""
    failures: list[Failure] = field(default_factory=list)


async def load(port: int, rpc: int, asked: Selection, stop: asyncio.Event) -> None:
    """Ask HTTP on one port of loopback and gRPC on another until told to stop."""
    async with asyncio.TaskGroup() as group:
        for kind, clients in _CLIENTS.items():
            for _ in range(clients):
                asking = _ask_grpc(kind, rpc, asked, stop) if kind.startswith("grpc") else _ask(kind, port, asked, stop)
                group.create_task(asking)


async def _ask(kind: str, port: int, asked: Selection, stop: asyncio.Event) -> None:
    path, bodies = ("/predict_batch", BATCHES) if kind == "batch" else ("/predict", PROFILES)
    while not stop.is_set():
        local = None
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, TimeoutError) as error:
            asked.failures.append(Failure(kind, None, f"connecting: {error!r}"))
            continue
        local = writer.get_extra_info("sockname")[1]
        # Closed by a reset: thousands of new connections would fill the table of those that wait for their end.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            for _ in range(1 if kind == "new" else _REQUESTS):
                if stop.is_set() or reader.at_eof():  # a kept connection that was closed is not asked on
                    break
                async with asyncio.timeout(_PATIENCE):
                    status = await _exchange(reader, writer, path, bodies)
                if status == b"200":
                    asked.answered[kind] += 1
                else:
                    asked.failures.append(Failure(kind, None, f"status {status.decode()}"))
                await asyncio.sleep(_PAUSE)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            asked.failures.append(Failure(kind, local, repr(error)))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, bodies: Sequence[str]
) -> bytes:
    body = random.choice(bodies).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    writer.write(f"{head}\r\n\r\n".encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in answer.split(b"\r\n")[1:-2])
    await reader.readexactly(int(headers[b"content-length"]))
    return answer.split(b" ", 2)[1]


async def _ask_grpc(kind: str, port: int, asked: Selection, stop: asyncio.Event) -> None:
    is_new = kind == "grpc new"
    while not stop.is_set():
        # A connection of its own, and no second try behind our back.
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            call = channel.unary_unary(_METHOD)
            for _ in range(1 if is_new else _REQUESTS):
                if stop.is_set():
                    break
                begun = time.monotonic()
                try:
                    # A connection that no worker has accepted yet breaks with the worker in whose queue it waits. Who
                    # waits for ready connects again, and no call was sent before; new ones are without it.
                    await call(random.choice(MESSAGES), timeout=_PATIENCE, wait_for_ready=not is_new)
                    asked.answered[kind] += 1
                except grpc.aio.AioRpcError as error:
                    asked.failures.append(Failure(kind, None, f"{error.code().name}: {error.details()}", begun))
                await asyncio.sleep(_PAUSE)
