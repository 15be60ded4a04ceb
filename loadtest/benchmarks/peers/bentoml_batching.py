"""POST /fast and /slow: this service's POST /predict_batch, and the same with a slow model, batched as configured.

none and drugpred use this service's fast path, without and with its batcher. stock is BentoML's own path and batching.
"""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import bentoml
from typing_extensions import override

from drugpred.limits import MAX_WAITING_PROFILES
from drugpred.schemas import Batch, Prediction, Profile
from drugpred.scoring import PredictedArrays, Scorer
from drugpred.serving import patches
from drugpred.serving.batching import AdaptiveBatcher
from drugpred.serving.middleware.fast_path import FastPathMiddleware
from drugpred.serving.predictions import PredictionService
from drugpred.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp

SLOW: Final = 0.005  # seconds of a call of a slow model, for any number of profiles

MAX_BATCH_SIZE: Final = 1000

dispatcher = os.environ["DISPATCHER"]
patches.apply()


class _Unbatched(AdaptiveBatcher[Any, Any]):
    """A batcher that calls the function for each request at once."""

    @override
    async def submit(self, items: Sequence[Any]) -> Sequence[Any]:
        return self._call(items)


class _Slow(Scorer):
    @override
    def predict_arrays(self, profiles: Sequence[Profile]) -> list[PredictedArrays]:
        time.sleep(SLOW)
        return super().predict_arrays(profiles)


class _Endpoint(FastPathMiddleware):
    """A fast path that answers one path with the predictions of the same name."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        super().__init__(app, lambda: SimpleNamespace(predictions=bentoml.get_current_service().predictions[name]))
        self._models = {f"/{name}": Batch}


batched = bentoml.api(batchable=True, max_batch_size=MAX_BATCH_SIZE, max_latency_ms=10_000)


@bentoml.service(logging={"access": {"enabled": False}}, tracing={"excluded_urls": ".*"})
class Service:
    """The two endpoints."""

    def __init__(self) -> None:
        self.scorer, slow = (kind.from_settings(Settings()) for kind in (Scorer, _Slow))
        self.predictions = {"fast": PredictionService(self.scorer), "slow": PredictionService(slow)}
        if dispatcher == "none":
            for each in self.predictions.values():
                each.batcher = _Unbatched(each.batcher._call, MAX_BATCH_SIZE, MAX_WAITING_PROFILES)

    @batched  # type: ignore[untyped-decorator]
    async def fast(self, profiles: list[Profile]) -> list[Prediction]:
        """Return predictions like the service."""
        return self.scorer.predict(profiles)

    @batched  # type: ignore[untyped-decorator]
    def slow(self, profiles: list[Profile]) -> list[Prediction]:
        """Return predictions like a model that takes milliseconds."""
        time.sleep(SLOW)
        return self.scorer.predict(profiles)


if dispatcher != "stock":
    for path in ("fast", "slow"):
        Service.add_asgi_middleware(_Endpoint, name=path)  # type: ignore[attr-defined]
