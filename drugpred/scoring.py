"""From checked profiles to answers: what HTTP, batches and every other transport call.

Whatever is answered goes through a `Scorer`, so all of it is counted.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from drugpred import codebook
from drugpred.monitoring.feedback.prediction_id import PredictionIdSigner, asked, new_key
from drugpred.monitoring.prediction_metrics import PredictionCounter
from drugpred.schemas import Explanation, Prediction, Profile, Risk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drugpred.codebook import Drug, Window
    from drugpred.model_store import StoredModel, WindowCard

__all__ = ["Predicted", "Scorer"]

_CHOICES: Final = 256
"""How many are kept of what may be asked for: 6 windows and any choice of drugs."""


class Predicted(NamedTuple):
    """What is predicted of some profiles, in their order."""

    rows: NDArray[np.float64]
    """Of shape (n, 12)."""
    probabilities: NDArray[np.float64]
    """Of shape (n, 18, 6)."""
    asked: list[list[float]]
    """Those of each drug, within the window that the profile asks for."""
    tokens: list[str]
    """The `prediction_id` of each answer."""


class Scorer:
    """Answers for profiles, by one stored model; several threads may use it at the same time.

    Parameters
    ----------
    model : StoredModel
    keys : str, optional
        What signs answers, see `PredictionIdSigner`; a new one where none is given.

    Raises
    ------
    ConfigurationError
        A key is too short.
    """

    def __init__(self, model: StoredModel, keys: str | None = None) -> None:
        self.model = model
        self.tokens = PredictionIdSigner.of(keys or new_key(), model)
        self.telemetry = PredictionCounter(model.card)
        self._choice = lru_cache(_CHOICES)(self._choose)

    def _choose(self, window: Window, drugs: frozenset[Drug]) -> list[tuple[int, Drug, WindowCard]]:
        """Return the drugs that an answer tells of, each with its place in the codebook."""
        cards = self.model.card.drugs
        return [(place, drug, cards[drug][window]) for place, drug in enumerate(codebook.DRUGS) if drug in drugs]

    def predict_proba(self, rows: NDArray[np.float64], window: Window, drugs: frozenset[Drug]) -> NDArray[np.float64]:
        """Return the probability of use of every drug in every window, as `Predictor` does, and count the answers.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
        window : str
            The window that the answers tell of.
        drugs : frozenset of str
            The drugs that they tell of.

        Returns
        -------
        ndarray of shape (n, 18, 6)
        """
        probabilities = self.model.predictor.predict_proba(rows)
        self.telemetry.add(rows, probabilities, window, drugs)
        return probabilities

    def predict_arrays(self, profiles: Sequence[Profile]) -> Predicted:
        """Return what answers are made of, and count them."""
        rows = np.array([profile.row() for profile in profiles], np.float64)
        probabilities = self.model.predictor.predict_proba(rows)
        self.telemetry.add_profiles(profiles, rows, probabilities)
        tokens = self.tokens.sign(probabilities, [asked(profile.window, profile.drugs) for profile in profiles])
        # Of the other windows it would take longer to make Python's numbers than to compute them.
        within = {
            window: probabilities[:, :, codebook.WINDOW_INDEX[window]].tolist()
            for window in {each.window for each in profiles}
        }
        by_drug = [within[profile.window][i] for i, profile in enumerate(profiles)]
        return Predicted(rows, probabilities, by_drug, tokens)

    def predict(self, profiles: Sequence[Profile]) -> list[Prediction]:
        """Return an answer for each profile, in their order.

        It takes microseconds a profile, and 10 milliseconds where an explanation is asked for.
        """
        predicted = self.predict_arrays(profiles)
        return [
            # Built from checked parts: to check them again would cost more than the prediction.
            Prediction.model_construct(
                prediction_id=token,
                model=self.model.tag,
                window=profile.window,
                data_source=self.model.card.data.source,
                risks=self._risks(profile, by_drug, row, probabilities),
            )
            for profile, row, probabilities, by_drug, token in zip(profiles, *predicted, strict=True)
        ]

    def _risks(
        self, profile: Profile, asked: list[float], row: NDArray[np.float64], probabilities: NDArray[np.float64]
    ) -> list[Risk]:
        explanations = self._explanations(row, profile.window) if "explanation" in profile.include else {}
        risks = []
        for place, drug, card in self._choice(profile.window, profile.drugs):
            probability = asked[place]
            high = probability >= card.threshold
            risk: Risk = {
                "drug": drug,
                "probability": probability,
                "prediction": 1 if high else 0,
                "label": codebook.RISK_LABELS[high],
                "threshold": card.threshold,
                "base_rate": card.base_rate,
                "auc": card.auc,
                "reliable": card.reliable,
            }
            if "windows" in profile.include:
                risk["windows"] = dict(zip(codebook.WINDOWS, probabilities[place].tolist(), strict=True))
            if drug in explanations:
                risk["explanation"] = explanations[drug]
            risks.append(risk)
        return risks

    def _explanations(self, row: NDArray[np.float64], window: Window) -> dict[Drug, Explanation]:
        index = codebook.WINDOW_INDEX[window]
        bases, contributions = (array[:, index].tolist() for array in self.model.explainer.explain(row))
        return {
            drug: {"base": base, "contributions": dict(zip(codebook.INPUTS, by_input, strict=True))}
            for drug, base, by_input in zip(codebook.DRUGS, bases, contributions, strict=True)
        }
