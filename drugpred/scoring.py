"""From checked profiles to answers: what HTTP, batches and every other transport call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

import numpy as np

from drugpred import codebook
from drugpred.schemas import Explanation, Prediction, Profile, Risk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drugpred.bundle import Bundle, WindowCard
    from drugpred.codebook import Drug, Window

__all__ = ["Scorer"]

_PLACES: Final = {window: i for i, window in enumerate(codebook.WINDOWS)}


class Scorer:
    """Answers for profiles, by one stored model; several threads may use it at the same time."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        drugs = bundle.card.drugs
        self._cards: dict[Window, list[tuple[Drug, WindowCard]]] = {
            window: [(drug, drugs[drug][window]) for drug in codebook.DRUGS] for window in codebook.WINDOWS
        }

    def score(self, profiles: Sequence[Profile]) -> list[Prediction]:
        """Return an answer for each profile, in their order.

        It takes microseconds a profile, and 10 milliseconds where an explanation is asked for.
        """
        rows = np.array([profile.row() for profile in profiles], np.float64)
        probabilities = self.bundle.predictor.probabilities(rows)
        return [
            # Built from checked parts: to check them again would cost more than the prediction.
            Prediction.model_construct(
                prediction_id=uuid4().hex,
                model=self.bundle.tag,
                window=profile.window,
                data_source=self.bundle.card.data.source,
                risks=self._risks(profile, row, by_drug),
            )
            for profile, row, by_drug in zip(profiles, rows, probabilities.tolist(), strict=True)
        ]

    def _risks(self, profile: Profile, row: NDArray[np.float64], by_drug: list[list[float]]) -> list[Risk]:
        explanations = self._explanations(row, profile.window) if "explanation" in profile.include else {}
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
            if drug in explanations:
                risk["explanation"] = explanations[drug]
            risks.append(risk)
        return risks

    def _explanations(self, row: NDArray[np.float64], window: Window) -> dict[Drug, Explanation]:
        bases, contributions = (array[:, _PLACES[window]].tolist() for array in self.bundle.explainer.explain(row))
        return {
            drug: {"base": base, "contributions": dict(zip(codebook.INPUTS, by_input, strict=True))}
            for drug, base, by_input in zip(codebook.DRUGS, bases, contributions, strict=True)
        }
