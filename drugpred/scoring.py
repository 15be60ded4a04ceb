"""From checked profiles to answers: what HTTP, batches and every other transport call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

import numpy as np

from drugpred import codebook
from drugpred.schemas import Prediction, Profile, Risk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drugpred.bundle import Bundle, WindowCard
    from drugpred.codebook import Drug, Window

__all__ = ["Scorer"]

_PLACES: Final = {window: i for i, window in enumerate(codebook.WINDOWS)}


class Scorer:
    """Answers for profiles, by one stored model."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        drugs = bundle.card.drugs
        self._cards: dict[Window, list[tuple[Drug, WindowCard]]] = {
            window: [(drug, drugs[drug][window]) for drug in codebook.DRUGS] for window in codebook.WINDOWS
        }

    def score(self, profiles: Sequence[Profile]) -> list[Prediction]:
        """Return an answer for each profile, in their order."""
        probabilities = self.bundle.predictor.probabilities(
            np.array([profile.row() for profile in profiles], np.float64)
        )
        return [
            # Built from checked parts: to check them again would cost more than the prediction.
            Prediction.model_construct(
                prediction_id=uuid4().hex,
                model=self.bundle.tag,
                window=profile.window,
                data_source=self.bundle.card.data.source,
                risks=self._risks(profile, by_drug),
            )
            for profile, by_drug in zip(profiles, probabilities.tolist(), strict=True)
        ]

    def _risks(self, profile: Profile, by_drug: list[list[float]]) -> list[Risk]:
        place = _PLACES[profile.window]
        risks = []
        for (drug, card), by_window in zip(self._cards[profile.window], by_drug, strict=True):
            if drug not in profile.drugs:
                continue
            probability = by_window[place]
            high = probability >= card.threshold
            risk: Risk = {
                "drug": drug,
                "probability": probability,
                "prediction": 1 if high else 0,
                "label": "High Risk" if high else "Low Risk",
                "threshold": card.threshold,
                "base_rate": card.base_rate,
                "auc": card.auc,
                "reliable": card.reliable,
            }
            if "windows" in profile.include:
                risk["windows"] = dict(zip(codebook.WINDOWS, by_window, strict=True))
            risks.append(risk)
        return risks
