"""The Bento: what `bentoml serve` serves."""

from __future__ import annotations

import bentoml

from drugpred import bundle
from drugpred.schemas import MOST_PROFILES, Prediction, Profile
from drugpred.scoring import Scorer
from drugpred.serving.errors import ErrorShape, quieten_rejections
from drugpred.serving.formats import BatchInput, PredictionsOutput, ProfileInput
from drugpred.serving.routes import Routes
from drugpred.settings import Settings

routes = Routes()


@bentoml.service(
    name="drugpred",
    workers=1,
    logging={"access": {"enabled": False}},  # it would cost more than a prediction; /metrics counts every request
    tracing={"excluded_urls": ".*"},  # runs even where nobody listens, at a third of the throughput
)
@bentoml.asgi_app(routes)
class DrugPrediction:
    """Calibrated probabilities of use of 18 drugs from personality scores and demographics."""

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """End `bentoml serve` where there is no readable model: a worker that fails is started again for ever."""
        bundle.read(bundle.find(Settings().model))

    def __init__(self) -> None:
        quieten_rejections()
        self.scorer = Scorer(bundle.read(bundle.find(Settings().model)))
        routes.connect(self.scorer.bundle)

    @bentoml.api(input_spec=ProfileInput)
    async def predict(self, profile: Profile, /) -> Prediction:
        """Tell of one person how likely the use of each drug is."""
        return self.scorer.score([profile])[0]

    @bentoml.api(
        batchable=True,
        max_batch_size=MOST_PROFILES,
        max_latency_ms=10_000,
        input_spec=BatchInput,
        output_spec=PredictionsOutput,
    )
    async def predict_batch(self, profiles: list[Profile]) -> list[Prediction]:
        """Tell of up to 1000 people how likely the use of each drug is."""
        return self.scorer.score(profiles)


DrugPrediction.add_asgi_middleware(ErrorShape)  # type: ignore[attr-defined]  # the decorator made it a service
