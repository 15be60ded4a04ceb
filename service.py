"""The Bento: what `bentoml serve` serves."""

from drugpred.serving import patches

patches.apply()  # before a module that defines a metric is imported

from pathlib import Path

import bentoml
import yaml
from bentoml.images import Image

from drugpred.monitoring.feedback.service import FeedbackService
from drugpred.schemas import Prediction, Profile, Profiles
from drugpred.scoring import Scorer
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.app import create_app
from drugpred.serving.middleware import MIDDLEWARE
from drugpred.serving.predictions import PredictionService, json_response
from drugpred.serving.startup import Startup
from drugpred.serving.v2.dataplane import DataPlane
from drugpred.serving.worker import Worker
from drugpred.settings import Settings

CONFIGS = Path(__file__).parent / "configs"


@bentoml.service(
    name="drugpred",
    image=Image(**yaml.safe_load((CONFIGS / "deploy" / "image.yaml").read_bytes())),
    **yaml.safe_load((CONFIGS / "service.yaml").read_bytes()),
)
@bentoml.asgi_app(create_app())  # documentation, page, health, feedback, Open Inference Protocol
class DrugPrediction:
    """Calibrated probabilities of use of 18 drugs from personality scores and demographics."""

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """End `bentoml serve` if a worker could not start."""
        Startup().check()

    def __init__(self) -> None:
        with Worker.starting():
            settings = Settings()
            self.scorer = Scorer.from_settings(settings)
            self.predictions = PredictionService(self.scorer)
            self.inference = DataPlane(self.scorer)
            scorer = self.scorer
            self.feedback = FeedbackService.from_settings(settings, scorer.signer, scorer.model.card, scorer.challenger)
            self.access = AccessPolicy.from_settings(settings)
            self.worker = Worker(self, settings)

    @bentoml.on_startup
    async def start(self) -> None:
        """Start the gRPC server and the counters."""
        await self.worker.start()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Wait for the calls in flight."""
        await self.worker.stop()

    async def __is_ready__(self) -> bool:
        """Return whether this worker is ready."""
        return not self.worker.shutdown.started

    @bentoml.api
    async def predict(self, profile: Profile, /) -> Prediction:
        """Predict each drug's probability of use for one person."""
        return await json_response(self.predictions.predict(profile))

    @bentoml.api
    async def predict_batch(self, profiles: Profiles) -> list[Prediction]:
        """Predict each drug's probability of use for up to 1000 people."""
        return await json_response(self.predictions.predict_batch(profiles))


for middleware in MIDDLEWARE:
    DrugPrediction.add_asgi_middleware(middleware)  # type: ignore[attr-defined]  # the decorator made it a service
