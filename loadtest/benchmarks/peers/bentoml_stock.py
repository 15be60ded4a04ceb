"""Our POST /predict with everything of BentoML as it comes: a thread, an access log, tracing."""

import bentoml

from drugpred.schemas import Prediction, Profile
from loadtest.benchmarks.peers import scorer


@bentoml.service
class Service:
    """One endpoint of ours."""

    def __init__(self) -> None:
        self.scorer = scorer.load()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, profile: Profile, /) -> Prediction:
        """Predict for one person, as our own POST /predict does."""
        return self.scorer.predict([profile])[0]
