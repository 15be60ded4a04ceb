"""POST /fast and /slow: our POST /predict_batch, and the same of a slow model, batched as the environment says.

none and drugpred are our own way to the endpoint, without and with its dispatcher. stock is BentoML's way and its own.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

import bentoml
from typing_extensions import override

from drugpred import model_store
from drugpred.schemas import Prediction, Profile
from drugpred.scoring import Scorer
from drugpred.serving import patches
from drugpred.serving.batching import AdaptiveBatcher
from drugpred.serving.capacity import MAX_WAITING
from drugpred.serving.middleware.fast_path import FastPathMiddleware, PredictionService
from drugpred.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOW: Final = 0.005
"""Seconds of a call of a slow model, however many profiles it is of."""

MOST: Final = 1000

dispatcher = os.environ["DISPATCHER"]
patches.apply()


class _Direct(AdaptiveBatcher[Profile, str]):
    """Calls for each request at once."""

    @override
    async def submit(self, items: Sequence[Profile]) -> Sequence[str]:
        return await self._call(items)


class _Line(PredictionService):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__()
        self.endpoints = {path: self.predict_batch}
        self._seconds = seconds
        self._one_call = asyncio.Lock()  # as of a model in one thread

    @override
    def connect(self, scorer: Scorer) -> None:
        super().connect(scorer)
        if dispatcher == "none":
            self.batcher = _Direct(self.tell, MOST, MAX_WAITING)

    @override
    async def tell(self, profiles: Sequence[Profile]) -> list[str]:
        if self._seconds:
            async with self._one_call:
                await asyncio.sleep(self._seconds)
        return await super().tell(profiles)


lines = [_Line("/fast", 0), _Line("/slow", SLOW)]
batched = bentoml.api(batchable=True, max_batch_size=MOST, max_latency_ms=10_000)


@bentoml.service(logging={"access": {"enabled": False}}, tracing={"excluded_urls": ".*"})
class Service:
    """The two endpoints."""

    def __init__(self) -> None:
        self.scorer = Scorer(model_store.read(model_store.resolve(Settings().model)))
        for line in lines:
            line.connect(self.scorer)

    @batched  # type: ignore[untyped-decorator]
    async def fast(self, profiles: list[Profile]) -> list[Prediction]:
        """Answer as the service does."""
        return self.scorer.predict(profiles)

    @batched  # type: ignore[untyped-decorator]
    def slow(self, profiles: list[Profile]) -> list[Prediction]:
        """Answer as a model would that takes milliseconds."""
        time.sleep(SLOW)
        return self.scorer.predict(profiles)


if dispatcher != "stock":
    for each in lines:
        Service.add_asgi_middleware(FastPathMiddleware, line=each)  # type: ignore[attr-defined]
