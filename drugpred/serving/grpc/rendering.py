"""The messages of answers, made of templates: to build each from its parts would cost more than the prediction."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from drugpred import codebook
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.serving.grpc import converters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drugpred.codebook import Drug, Window
    from drugpred.schemas import Profile
    from drugpred.scoring import Scorer

__all__ = ["MessageRenderer"]

_TEMPLATES: Final = 256
"""How many are kept, of 6 windows and any choice of drugs."""


class _Template(NamedTuple):
    """All that answers about some drugs within a window have in common."""

    message: pb.Prediction
    drugs: list[int]
    """Their places in the codebook."""
    thresholds: list[float]


class MessageRenderer:
    """The answers of `drugpred.scoring.Scorer`, but for explanations, as messages."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._template = lru_cache(_TEMPLATES)(self._make)

    def fill(self, answers: Sequence[pb.Prediction], profiles: Sequence[Profile]) -> None:
        """Write the answer about each profile into an empty message."""
        predicted = self._scorer.predict_arrays(profiles)
        for answer, profile, _, probabilities, asked, token in zip(answers, profiles, *predicted, strict=True):
            message, drugs, thresholds = self._template(profile.window, profile.drugs)
            answer.CopyFrom(message)
            answer.prediction_id = token
            windows = "windows" in profile.include
            for risk, drug, threshold in zip(answer.risks, drugs, thresholds, strict=True):
                probability = asked[drug]
                risk.probability = probability
                if probability >= threshold:
                    risk.prediction = True
                if windows:
                    into = risk.windows
                    into.ever, into.decade, into.year, into.month, into.week, into.day = probabilities[drug].tolist()

    def _make(self, window: Window, drugs: frozenset[Drug]) -> _Template:
        places = [place for place, drug in enumerate(codebook.DRUGS) if drug in drugs]
        model = self._scorer.model
        cards = {codebook.DRUGS[place]: model.card.drugs[codebook.DRUGS[place]][window] for place in places}
        message = pb.Prediction(
            model=model.tag,
            window=converters.WINDOWS[window],
            data_source=converters.DATA_SOURCES[model.card.data.source],
            risks=[
                pb.Risk(
                    drug=converters.DRUGS[drug],
                    threshold=card.threshold,
                    base_rate=card.base_rate,
                    auc=card.auc,
                    reliable=card.reliable,
                )
                for drug, card in cards.items()
            ],
        )
        return _Template(message, places, [card.threshold for card in cards.values()])
