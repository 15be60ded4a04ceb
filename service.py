"""The Bento: what `bentoml serve` serves."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import bentoml
import yaml
from bentoml._internal.context import server_context
from bentoml.images import Image

from drugpred import bundle
from drugpred.errors import ConfigurationError, DrugpredError
from drugpred.monitoring import metrics
from drugpred.monitoring.feedback import Collector
from drugpred.monitoring.seen import seen_of
from drugpred.schemas import MOST_PROFILES, Prediction, Profile
from drugpred.scoring import Scorer
from drugpred.serving import logs, replacements
from drugpred.serving.admission import Admission
from drugpred.serving.answering import score
from drugpred.serving.draining import Closing, Draining
from drugpred.serving.entrance import Door, Entrance
from drugpred.serving.errors import ErrorShape
from drugpred.serving.express import Express, Line
from drugpred.serving.headers import SecurityHeaders, cross_origin
from drugpred.serving.launch import Launch
from drugpred.serving.routes import Routes
from drugpred.serving.rpc import configuration
from drugpred.serving.rpc.server import Server
from drugpred.serving.supervised import ready, starting
from drugpred.settings import Settings

CONFIGS = Path(__file__).parent / "configs"

launch = Launch()
replacements.install(launch.listen)
door = Door()
line = Line()
draining = Draining()
routes = Routes(draining)


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
        self.scorer = Scorer(bundle.read(bundle.find(self.settings.model)), key.get_secret_value() if key else None)
        seen = seen_of(self.settings, bundle.home())
        self.admission = Admission.of(self.settings)
        door.connect(self.admission)
        line.connect(self.scorer)
        routes.connect(self.scorer, Collector(self.scorer.tokens, seen, self.scorer.bundle.card))
        metrics.publish(self.scorer.bundle)

    @bentoml.on_startup
    async def start(self) -> None:
        """Answer gRPC in the same event loop as HTTP, and count what is answered."""
        with starting():
            address = configuration.address(self.settings.grpc_port)
            try:
                self.grpc = Server(self.scorer, self.settings, address, self.admission)
            except RuntimeError:  # as grpc says it
                raise ConfigurationError(f"gRPC cannot listen on {address}") from None
            await self.grpc.start()
        draining.listen(self.grpc.announce_end)
        self.scorer.telemetry.start()
        if server_context.worker_index is not None:
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

    # What BentoML and its clients know of the endpoints. Over HTTP, Express answers them first, and batches.

    @bentoml.api
    async def predict(self, profile: Profile, /) -> Prediction:
        """Tell of one person how likely the use of each drug is."""
        return (await score(self.scorer, [profile]))[0]

    @bentoml.api(batchable=True, max_batch_size=MOST_PROFILES)
    async def predict_batch(self, profiles: list[Profile]) -> list[Prediction]:
        """Tell of up to 1000 people how likely the use of each drug is."""
        return await score(self.scorer, profiles)


DrugPrediction.add_asgi_middleware(Closing, draining=draining)  # type: ignore[attr-defined]
DrugPrediction.add_asgi_middleware(cross_origin)  # type: ignore[attr-defined]
DrugPrediction.add_asgi_middleware(SecurityHeaders)  # type: ignore[attr-defined]
DrugPrediction.add_asgi_middleware(ErrorShape)  # type: ignore[attr-defined]  # the decorator made it a service
DrugPrediction.add_asgi_middleware(Entrance, door=door)  # type: ignore[attr-defined]
DrugPrediction.add_asgi_middleware(Express, line=line)  # type: ignore[attr-defined]
