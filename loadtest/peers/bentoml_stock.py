"""Our POST /predict with everything of BentoML as it comes."""

import bentoml

from drugpred import model_store
from drugpred.schemas import Prediction, Profile
from drugpred.scoring import Scorer
from drugpred.settings import Settings


@bentoml.service
class Service:
    """One endpoint of ours."""

    def __init__(self) -> None:
        self.scorer = Scorer(model_store.load(Settings().model))

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, profile: Profile, /) -> Prediction:
        """Tell of one person, as our own POST /predict does."""
        return self.scorer.predict([profile])[0]
