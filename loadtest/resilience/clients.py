"""Clients that send requests continuously and record the connection of each lost request; none is sent twice."""

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

from loadtest.harness import http1
from loadtest.harness.payloads import BATCHES, MESSAGES, PREDICT, PROFILES

if TYPE_CHECKING:
    from collections import Counter

_CLIENTS: Final = {"kept": 6, "new": 2, "batch": 2, "grpc": 4, "grpc new": 2}

_REQUESTS: Final = 50  # on one connection, so that all workers get some
_INTERVAL: Final = 0.005  # seconds between requests of a client
_TIMEOUT: Final = 20  # seconds for an answer

# A separate connection, and no automatic retries.
_OPTIONS: Final = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))


@dataclass(frozen=True)
class Failure:
    """A request without an answer."""

    kind: str
    port: int | None
    """Port of the client; None over gRPC, which does not show it, and without a connection."""
    error: str
    begun: float = 0.0
    """When it was sent, on the monotonic clock."""


@dataclass
class Outcomes:
    """The outcomes of requests."""

    answered: Counter[str]
    """By kind of client."""
    failures: list[Failure] = field(default_factory=list)


async def load(port: int, grpc_port: int, outcomes: Outcomes, stop: asyncio.Event) -> None:
    """Send requests over HTTP to one port of loopback and over gRPC to another, until stopped."""
    async with asyncio.TaskGroup() as group:
        for kind, clients in _CLIENTS.items():
            for _ in range(clients):
                ask, to = (_ask_grpc, grpc_port) if kind.startswith("grpc") else (_ask, port)
                group.create_task(ask(kind, to, outcomes, stop))


async def _ask(kind: str, port: int, outcomes: Outcomes, stop: asyncio.Event) -> None:
    path, bodies = ("/predict_batch", BATCHES) if kind == "batch" else ("/predict", PROFILES)
    while not stop.is_set():
        try:
            async with asyncio.timeout(_TIMEOUT):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, TimeoutError) as error:
            outcomes.failures.append(Failure(kind, None, f"connecting: {error!r}"))
            continue
        local = writer.get_extra_info("sockname")[1]
        # Closed by a reset: thousands of new connections would fill the table of closing connections.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            for _ in range(1 if kind == "new" else _REQUESTS):
                if stop.is_set() or reader.at_eof():  # a kept connection that was closed is not used again
                    break
                async with asyncio.timeout(_TIMEOUT):
                    writer.write(http1.request("POST", path, random.choice(bodies).encode()))
                    status = (await http1.read_response(reader)).status
                if status == 200:
                    outcomes.answered[kind] += 1
                else:
                    outcomes.failures.append(Failure(kind, None, f"status {status}"))
                await asyncio.sleep(_INTERVAL)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            outcomes.failures.append(Failure(kind, local, repr(error)))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _ask_grpc(kind: str, port: int, outcomes: Outcomes, stop: asyncio.Event) -> None:
    is_new = kind == "grpc new"
    while not stop.is_set():
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", _OPTIONS) as channel:
            call = channel.unary_unary(PREDICT)
            for _ in range(1 if is_new else _REQUESTS):
                if stop.is_set():
                    break
                begun = time.monotonic()
                try:
                    # A connection that no worker has accepted breaks with the worker in whose queue it waits.
                    # wait_for_ready reconnects, and no call was sent before; new connections do without it.
                    await call(random.choice(MESSAGES), timeout=_TIMEOUT, wait_for_ready=not is_new)
                    outcomes.answered[kind] += 1
                except grpc.aio.AioRpcError as error:
                    outcomes.failures.append(Failure(kind, None, f"{error.code().name}: {error.details()}", begun))
                await asyncio.sleep(_INTERVAL)
