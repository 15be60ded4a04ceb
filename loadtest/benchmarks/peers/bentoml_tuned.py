"""Our POST /predict with BentoML tuned for calls of microseconds: an async method, no access log, no tracing."""

import bentoml

from drugpred.schemas import Prediction, Profile
from loadtest.benchmarks.peers import scorer


@bentoml.service(logging={"access": {"enabled": False}}, tracing={"excluded_urls": ".*"})
class Service:
    """One endpoint of ours."""

    def __init__(self) -> None:
        self.scorer = scorer.load()

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, profile: Profile, /) -> Prediction:
        """Predict for one person, as our own POST /predict does."""
        return self.scorer.predict([profile])[0]
