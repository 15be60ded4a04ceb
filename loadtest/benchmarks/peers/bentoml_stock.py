"""POST /predict of this service with BentoML's defaults: a thread, an access log, tracing."""

import bentoml

from drugpred.schemas import Prediction, Profile
from loadtest.benchmarks.peers import scorer


@bentoml.service
class Service:
    """The endpoint."""

    def __init__(self) -> None:
        self.scorer = scorer.load()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, profile: Profile, /) -> Prediction:
        """Return the prediction for one person, like this service's POST /predict."""
        return self.scorer.predict([profile])[0]
