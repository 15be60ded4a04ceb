"""From checked profiles to answers: what HTTP, batches and every other transport call.

Whatever is answered goes through a `Scorer`, so all of it is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from drugpred import codebook, model_store
from drugpred.monitoring.feedback.prediction_id import PredictionIdSigner, new_key
from drugpred.monitoring.prediction_metrics import PredictionCounter
from drugpred.schemas import Explanation, Prediction, Profile, Risk
from drugpred.selection import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drugpred.codebook import Drug
    from drugpred.model_store import StoredModel
    from drugpred.selection import Selection
    from drugpred.settings import Settings


class PredictedArrays(NamedTuple):
    """What is predicted for a profile."""

    row: NDArray[np.float64]  # of shape (12,)
    probabilities: NDArray[np.float64]  # of shape (18, 6)
    selected: list[float]  # those of each drug, within the window that the profile selects
    prediction_id: str


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
        self.signer = PredictionIdSigner.of(keys or new_key(), model)
        self.counter = PredictionCounter(model.card)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return what answers as an operator set it.

        Raises
        ------
        StoredModelError
            The model is missing, incomplete or altered.
        ConfigurationError
            A key is too short.
        """
        key = settings.feedback_key
        model = model_store.load(settings.model)
        return cls(model, key.get_secret_value() if key else None)

    def predict_proba(self, rows: NDArray[np.float64], selection: Selection) -> NDArray[np.float64]:
        """Return the probability of use of every drug in every window, as `Predictor` does, and count the answers.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
        selection : Selection
            What the answers are about.

        Returns
        -------
        ndarray of shape (n, 18, 6)
        """
        probabilities = self.model.predictor.predict_proba(rows)
        self.counter.add(rows, probabilities, selection)
        return probabilities

    def predict_arrays(self, profiles: Sequence[Profile]) -> list[PredictedArrays]:
        """Return what answers for profiles are made of, in their order, and count them."""
        rows = np.array([profile.row() for profile in profiles], np.float64)
        probabilities = self.model.predictor.predict_proba(rows)
        selections = [select(profile.window, profile.drugs) for profile in profiles]
        self.counter.add_each(rows, probabilities, selections)
        # Of the other windows it would take longer to make Python's numbers than to compute them.
        within = {
            window: probabilities[:, :, window].tolist()
            for window in {selection.window_index for selection in selections}
        }
        selected = [within[selection.window_index][i] for i, selection in enumerate(selections)]
        prediction_ids = self.signer.sign(probabilities, selections)
        return list(map(PredictedArrays, rows, probabilities, selected, prediction_ids))

    def predict(self, profiles: Sequence[Profile]) -> list[Prediction]:
        """Return the prediction for each profile, in their order.

        It takes microseconds a profile, and 10 milliseconds where an explanation is asked for.
        """
        return [
            # Built from checked parts: to check them again would cost more than the prediction.
            Prediction.model_construct(
                prediction_id=arrays.prediction_id,
                model=self.model.tag,
                window=profile.window,
                data_source=self.model.card.data.source,
                risks=self._risks(profile, arrays),
            )
            for profile, arrays in zip(profiles, self.predict_arrays(profiles), strict=True)
        ]

    def _risks(self, profile: Profile, arrays: PredictedArrays) -> list[Risk]:
        selection, cards = select(profile.window, profile.drugs), self.model.card.drugs
        explanations = (
            self._explanations(arrays.row, selection.window_index) if "explanation" in profile.include else {}
        )
        risks = []
        for index, drug in zip(selection.drug_indices, selection.drugs, strict=True):
            card = cards[drug][selection.window]
            probability = arrays.selected[index]
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
                risk["windows"] = dict(zip(codebook.WINDOWS, arrays.probabilities[index].tolist(), strict=True))
            if drug in explanations:
                risk["explanation"] = explanations[drug]
            risks.append(risk)
        return risks

    def _explanations(self, row: NDArray[np.float64], window: int) -> dict[Drug, Explanation]:
        bases, contributions = (array[:, window].tolist() for array in self.model.explainer.explain(row))
        return {
            drug: {"base": base, "contributions": dict(zip(codebook.INPUTS, by_input, strict=True))}
            for drug, base, by_input in zip(codebook.DRUGS, bases, contributions, strict=True)
        }
