"""The Bento: what `bentoml serve` serves."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import yaml

from drugpred import bundle
from drugpred.schemas import MOST_PROFILES, Prediction, Profile
from drugpred.scoring import Scorer
from drugpred.serving import replacements
from drugpred.serving.answering import score
from drugpred.serving.draining import Closing, Draining
from drugpred.serving.errors import ErrorShape, quieten_rejections
from drugpred.serving.express import Express, Line
from drugpred.serving.formats import BatchInput, PredictionsOutput, ProfileInput
from drugpred.serving.routes import Routes
from drugpred.serving.rpc import configuration
from drugpred.serving.rpc.server import Server
from drugpred.settings import Settings

replacements.install()
line = Line()
routes = Routes()
draining = Draining()


@bentoml.service(name="drugpred", **yaml.safe_load((Path(__file__).parent / "configs" / "service.yaml").read_bytes()))
@bentoml.asgi_app(routes)
class DrugPrediction:
    """Calibrated probabilities of use of 18 drugs from personality scores and demographics."""

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """End `bentoml serve` where a worker could not start: it would be started again for ever."""
        settings = Settings()
        bundle.read(bundle.find(settings.model))
        configuration.check(settings)
        # Workers inherit it. Threads of BLAS wait for each other in a busy loop, at ten times the cost of one alone.
        os.environ.setdefault("OMP_NUM_THREADS", "1")

    def __init__(self) -> None:
        quieten_rejections()
        self.settings = Settings()
        self.scorer = Scorer(bundle.read(bundle.find(self.settings.model)))
        line.connect(self.scorer)
        routes.connect(self.scorer.bundle)

    @bentoml.on_startup
    async def start_grpc(self) -> None:
        """Answer gRPC in the same event loop as HTTP."""
        self.grpc = Server(self.scorer, self.settings, configuration.address("drugpred", self.settings.grpc_port))
        await self.grpc.start()
        draining.listen(self.grpc.announce_end)

    @bentoml.on_shutdown
    async def stop_grpc(self) -> None:
        """Let calls end that were taken."""
        await self.grpc.stop()

    async def __is_ready__(self) -> bool:
        """Tell probes whether requests are wanted."""
        return not draining.begun

    @bentoml.api(input_spec=ProfileInput)
    async def predict(self, profile: Profile, /) -> Prediction:
        """Tell of one person how likely the use of each drug is."""
        return (await score(self.scorer, [profile]))[0]

    @bentoml.api(
        batchable=True,
        max_batch_size=MOST_PROFILES,
        max_latency_ms=10_000,
        input_spec=BatchInput,
        output_spec=PredictionsOutput,
    )
    async def predict_batch(self, profiles: list[Profile]) -> list[Prediction]:
        """Tell of up to 1000 people how likely the use of each drug is."""
        return await score(self.scorer, profiles)


DrugPrediction.add_asgi_middleware(Closing, draining=draining)  # type: ignore[attr-defined]
DrugPrediction.add_asgi_middleware(ErrorShape)  # type: ignore[attr-defined]  # the decorator made it a service
DrugPrediction.add_asgi_middleware(Express, line=line)  # type: ignore[attr-defined]
