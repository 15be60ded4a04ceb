"""The Bento: what `bentoml serve` serves."""

from __future__ import annotations

from drugpred.serving import patches

patches.apply()  # before a module that makes a metric is imported

import asyncio
import gc
from pathlib import Path

import bentoml
import yaml
from bentoml.images import Image

from drugpred import model_store
from drugpred.errors import ConfigurationError, DrugpredError
from drugpred.monitoring import metrics
from drugpred.monitoring.feedback.dedup import token_store
from drugpred.monitoring.feedback.service import FeedbackService
from drugpred.schemas import MAX_PROFILES, Prediction, Profile
from drugpred.scoring import Scorer
from drugpred.serving import logs
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.app import App
from drugpred.serving.grpc import binding
from drugpred.serving.grpc.server import Server
from drugpred.serving.middleware.access import AccessMiddleware, Door
from drugpred.serving.middleware.error_format import ErrorFormatMiddleware
from drugpred.serving.middleware.fast_path import FastPathMiddleware, PredictionService
from drugpred.serving.middleware.security_headers import SecurityHeadersMiddleware, cors
from drugpred.serving.middleware.shutdown import ConnectionCloseMiddleware, GracefulShutdown
from drugpred.serving.predictions import score
from drugpred.serving.startup import Startup
from drugpred.serving.supervision import ready, starting
from drugpred.settings import Settings

CONFIGS = Path(__file__).parent / "configs"

launch = Startup()
door = Door()
line = PredictionService()
draining = GracefulShutdown()
routes = App(draining)


@bentoml.service(
    name="drugpred",
    image=Image(**yaml.safe_load((CONFIGS / "deploy" / "image.yaml").read_bytes())),
    **yaml.safe_load((CONFIGS / "service.yaml").read_bytes()),
)
@bentoml.asgi_app(routes)
class DrugPrediction:
    """Calibrated probabilities of use of 18 drugs from personality scores and demographics."""

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """End `bentoml serve` where a worker could not start."""
        try:
            launch.check()
        except DrugpredError as error:
            raise SystemExit(f"error: {error}") from None

    def __init__(self) -> None:
        with starting():
            self._load()

    def _load(self) -> None:
        self.settings = Settings()
        key = self.settings.feedback_key
        self.scorer = Scorer(
            model_store.read(model_store.resolve(self.settings.model)), key.get_secret_value() if key else None
        )
        seen = token_store(self.settings, model_store.home())
        self.admission = AccessPolicy.of(self.settings)
        door.connect(self.admission)
        line.connect(self.scorer)
        routes.connect(self.scorer, FeedbackService(self.scorer.tokens, seen, self.scorer.model.card))
        metrics.publish(self.scorer.model)

    @bentoml.on_startup
    async def start(self) -> None:
        """Answer gRPC in the same event loop as HTTP, and count what is answered."""
        with starting():
            address = binding.address(self.settings.grpc_port)
            try:
                self.grpc = Server(self.scorer, self.settings, address, self.admission)
            except RuntimeError:  # as grpc says it
                raise ConfigurationError(f"gRPC cannot listen on {address}") from None
            await self.grpc.start()
        draining.listen(self.grpc.announce_end)
        self.scorer.telemetry.start()
        if bentoml.server_context.worker_index is not None:
            logs.write_in_thread()
        gc.collect()
        gc.freeze()  # what was imported stays, and a batch of a thousand would have it searched a hundred times
        ready(draining.begin)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Let calls end that were taken, and count the last of them."""
        await self.grpc.stop()
        await self.admission.close()
        await asyncio.to_thread(self.scorer.telemetry.stop)
        await asyncio.to_thread(logs.end)

    async def __is_ready__(self) -> bool:
        """Tell probes whether requests are wanted."""
        return not draining.begun

    # What BentoML and its clients know of the endpoints. Over HTTP, FastPathMiddleware answers them first, and batches.

    @bentoml.api
    async def predict(self, profile: Profile, /) -> Prediction:
        """Tell of one person how likely the use of each drug is."""
        return (await score(self.scorer, [profile]))[0]

    @bentoml.api(batchable=True, max_batch_size=MAX_PROFILES)
    async def predict_batch(self, profiles: list[Profile]) -> list[Prediction]:
        """Tell of up to 1000 people how likely the use of each drug is."""
        return await score(self.scorer, profiles)


DrugPrediction.add_asgi_middleware(ConnectionCloseMiddleware, draining=draining)  # type: ignore[attr-defined]
DrugPrediction.add_asgi_middleware(cors)  # type: ignore[attr-defined]
DrugPrediction.add_asgi_middleware(SecurityHeadersMiddleware)  # type: ignore[attr-defined]
DrugPrediction.add_asgi_middleware(ErrorFormatMiddleware)  # type: ignore[attr-defined]  # the decorator made it a service
DrugPrediction.add_asgi_middleware(AccessMiddleware, door=door)  # type: ignore[attr-defined]
DrugPrediction.add_asgi_middleware(FastPathMiddleware, line=line)  # type: ignore[attr-defined]
