"""Callers with a key, who ask over HTTP and gRPC at a steady rate, and a probe; how each was answered is noted."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
import httpx
from people import BATCHES, MESSAGES, PROFILES

from drugpred.client import converters
from drugpred.codebook import INPUTS
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import EXAMPLE, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Selection", "ask"]

RATE: Final = 20
"""Requests a second over each of HTTP and gRPC, whatever became of those before."""

PROBES: Final = 5
"""Times a second that /readyz is asked, on a connection of its own as Kubernetes does."""

_PATIENCE: Final = 10.0
"""Seconds until an answer must have come."""

_EXPLAINED: Final = json.dumps(EXAMPLE | {"include": ["explanation"]})


class Selection(NamedTuple):
    """How a request was answered."""

    kind: str
    """`http`, `grpc` or `probe`."""
    begun: float
    """By the monotonic clock."""
    seconds: float
    failure: str
    """Empty where it was answered properly."""


async def ask(port: int, grpc_port: int, key: str, answered: list[Selection], ended: asyncio.Event) -> None:
    """Ask two ports of loopback until the event is set, and wait for the last answers."""
    url, fields = f"http://127.0.0.1:{port}", {"x-api-key": key}
    person = converters.profile(Profile.model_validate(EXAMPLE))
    columns: dict[str, Any] = {name: [getattr(person, "band" if name == "age" else name)] * 10 for name in INPUTS}
    service = "/drugpred.v1.DrugPrediction/"
    options = {"metadata": tuple(fields.items()), "timeout": _PATIENCE}
    async with (
        httpx.AsyncClient(base_url=url, headers=fields, timeout=_PATIENCE) as client,
        httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_keepalive_connections=0), timeout=_PATIENCE) as prober,
        grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}", (("grpc.enable_retries", 0),)) as channel,
        asyncio.TaskGroup() as group,
    ):

        async def post(path: str, body: str) -> None:
            (await client.post(path, content=body)).raise_for_status()

        async def get_model() -> None:
            (await client.get("/model")).raise_for_status()

        async def call(method: str, message: bytes) -> None:
            await channel.unary_unary(f"{service}{method}")(message, **options)

        async def stream() -> None:
            chunk = pb.PredictStreamRequest(**columns).SerializeToString()
            async for _ in channel.stream_stream(f"{service}PredictStream")(iter([chunk]), **options):
                pass

        async def probe() -> None:
            (await prober.get("/readyz")).raise_for_status()

        kinds: dict[str, tuple[int, list[Callable[[], Coroutine[Any, Any, None]]]]] = {
            "http": (
                RATE,
                [
                    lambda: post("/predict", PROFILES[0]),
                    lambda: post("/predict_batch", BATCHES[0]),
                    lambda: post("/predict", _EXPLAINED),
                    get_model,
                ],
            ),
            "grpc": (
                RATE,
                [
                    lambda: call("Predict", MESSAGES[0]),
                    lambda: call("PredictBatch", b"".join(MESSAGES[:100])),  # the profile is the first field of both
                    lambda: call("GetModel", b""),
                    stream,
                ],
            ),
            "probe": (PROBES, [probe]),
        }
        for kind, (rate, requests) in kinds.items():
            group.create_task(_steadily(kind, rate, requests, answered, ended))


async def _steadily(
    kind: str,
    rate: int,
    requests: list[Callable[[], Coroutine[Any, Any, None]]],
    answered: list[Selection],
    ended: asyncio.Event,
) -> None:
    async def one(send: Callable[[], Coroutine[Any, Any, None]]) -> None:
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
        answered.append(Selection(kind, begun, time.monotonic() - begun, failure))

    due = time.monotonic()
    turns = cycle(requests)
    async with asyncio.TaskGroup() as group:
        while not ended.is_set():
            group.create_task(one(next(turns)))
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
