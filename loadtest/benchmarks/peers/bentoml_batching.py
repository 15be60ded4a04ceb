"""POST /fast and /slow: our POST /predict_batch, and the same of a slow model, batched as the environment says.

none and drugpred are our own way to the endpoint, without and with its batcher. stock is BentoML's way and its own.
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

SLOW: Final = 0.005  # seconds of a call of a slow model, however many profiles it is of

MAX_BATCH_SIZE: Final = 1000

dispatcher = os.environ["DISPATCHER"]
patches.apply()


class _Unbatched(AdaptiveBatcher[Any, Any]):
    """Calls for each request at once."""

    @override
    async def submit(self, items: Sequence[Any]) -> Sequence[Any]:
        return self._call(items)


class _Slow(Scorer):
    @override
    def predict_arrays(self, profiles: Sequence[Profile]) -> list[PredictedArrays]:
        time.sleep(SLOW)
        return super().predict_arrays(profiles)


class _Endpoint(FastPathMiddleware):
    """Answers one path by the predictions of the same name."""

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
        """Answer as the service does."""
        return self.scorer.predict(profiles)

    @batched  # type: ignore[untyped-decorator]
    def slow(self, profiles: list[Profile]) -> list[Prediction]:
        """Answer as a model would that takes milliseconds."""
        time.sleep(SLOW)
        return self.scorer.predict(profiles)


if dispatcher != "stock":
    for path in ("fast", "slow"):
        Service.add_asgi_middleware(_Endpoint, name=path)  # type: ignore[attr-defined]
