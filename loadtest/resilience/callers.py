"""Clients with a key that send requests over HTTP and gRPC at a steady rate, and a probe; all outcomes are recorded."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
import httpx

from drugpred.schemas import EXAMPLE
from loadtest.harness.payloads import BATCHES, MESSAGES, PROFILES, SERVICE, chunk, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Send = Callable[[], Coroutine[Any, Any, None]]

RATE: Final = 20  # requests per second over each of HTTP and gRPC, independent of earlier answers
PROBES: Final = 5  # requests per second of /readyz, each on a new connection as in Kubernetes
_TIMEOUT: Final = 10.0  # seconds for an answer
_CHUNK: Final = chunk(draw(10))
_EXPLAINED: Final = json.dumps(EXAMPLE | {"include": ["explanation"]})


class Answered(NamedTuple):
    """The outcome of a request."""

    kind: str  # `http`, `grpc` or `probe`
    begun: float  # on the monotonic clock
    seconds: float
    failure: str  # empty if the answer is correct


async def ask(port: int, grpc_port: int, key: str, answered: list[Answered], ended: asyncio.Event) -> None:
    """Send requests to two ports of loopback until the event is set, and wait for the last answers."""
    url, fields = f"http://127.0.0.1:{port}", {"x-api-key": key}
    options = {"metadata": tuple(fields.items()), "timeout": _TIMEOUT}
    async with (
        httpx.AsyncClient(base_url=url, headers=fields, timeout=_TIMEOUT) as client,
        httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_keepalive_connections=0), timeout=_TIMEOUT) as prober,
        grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}", (("grpc.enable_retries", 0),)) as channel,
        asyncio.TaskGroup() as group,
    ):

        async def post(path: str, body: str) -> None:
            (await client.post(path, content=body)).raise_for_status()

        async def get(client: httpx.AsyncClient, path: str) -> None:
            (await client.get(path)).raise_for_status()

        async def call(method: str, message: bytes) -> None:
            await channel.unary_unary(f"{SERVICE}/{method}")(message, **options)

        async def stream() -> None:
            async for _ in channel.stream_stream(f"{SERVICE}/PredictStream")(iter([_CHUNK]), **options):
                pass

        over_http: list[Send] = [
            lambda: post("/predict", PROFILES[0]),
            lambda: post("/predict_batch", BATCHES[0]),
            lambda: post("/predict", _EXPLAINED),
            lambda: get(client, "/model"),
        ]
        over_grpc: list[Send] = [
            lambda: call("Predict", MESSAGES[0]),
            lambda: call("PredictBatch", b"".join(MESSAGES[:100])),  # the profile is the first field of both
            lambda: call("GetModel", b""),
            stream,
        ]
        group.create_task(_steadily("http", RATE, over_http, answered, ended))
        group.create_task(_steadily("grpc", RATE, over_grpc, answered, ended))
        group.create_task(_steadily("probe", PROBES, [lambda: get(prober, "/readyz")], answered, ended))


async def _steadily(kind: str, rate: int, requests: list[Send], answered: list[Answered], ended: asyncio.Event) -> None:
    async def note(send: Send) -> None:
        begun = time.monotonic()
        failure = ""
        try:
            await send()
        except httpx.HTTPStatusError as error:
            failure = str(error.response.status_code)
        except httpx.HTTPError as error:
            failure = type(error).__name__
        except grpc.aio.AioRpcError as error:
            failure = error.code().name
        answered.append(Answered(kind, begun, time.monotonic() - begun, failure))

    due = time.monotonic()
    turns = cycle(requests)
    async with asyncio.TaskGroup() as group:
        while not ended.is_set():
            group.create_task(note(next(turns)))
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
