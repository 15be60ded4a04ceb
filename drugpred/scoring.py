"""From validated profiles to predictions, for HTTP, batches and all other transports.

All predictions come from a `Scorer`, so all are counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from drugpred import codebook, model_store
from drugpred.errors import ConfigurationError
from drugpred.monitoring.challenger import Challenger
from drugpred.monitoring.feedback.prediction_id import PredictionIdSigner, new_key
from drugpred.monitoring.prediction_metrics import PredictionCounter
from drugpred.predictor import design_matrix
from drugpred.schemas import Explanation, Interval, Prediction, Profile, Risk, Support
from drugpred.selection import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drugpred.codebook import Drug
    from drugpred.model_store import StoredModel
    from drugpred.selection import Selection
    from drugpred.settings import Settings


class PredictedArrays(NamedTuple):
    """The prediction for a profile, as arrays."""

    row: NDArray[np.float64]  # shape (12,)
    probabilities: NDArray[np.float64]  # shape (18, 6)
    selected: list[float]  # of each drug, within the profile's window
    prediction_id: str
    bounds: NDArray[np.float64] | None = None  # low and high, shape (18, 6, 2), if the profile includes intervals
    selected_bounds: list[list[float]] | None = None  # of each drug, within the profile's window
    support: Support | None = None  # if the profile includes it


def load_models(settings: Settings) -> tuple[StoredModel, StoredModel | None]:
    """Return the model to serve, and its challenger if there is one.

    Raises
    ------
    StoredModelError
        A model is missing, incomplete or altered.
    ConfigurationError
        The challenger is the model itself.
    """
    model = model_store.load(settings.model)
    challenger = model_store.load(settings.challenger) if settings.challenger else None
    if challenger and challenger.tag == model.tag:
        raise ConfigurationError(f"DRUGPRED_CHALLENGER: expected another model than {model.tag}, which is served")
    return model, challenger


class Scorer:
    """Predictions by one stored model; several threads may use it at the same time.

    Parameters
    ----------
    model : StoredModel
    keys : str, optional
        Keys that sign predictions, see `PredictionIdSigner`; by default a new one.
    challenger : StoredModel, optional
        A second model, which is compared with the first and never answers.

    Raises
    ------
    ConfigurationError
        A key is too short.
    """

    def __init__(self, model: StoredModel, keys: str | None = None, challenger: StoredModel | None = None) -> None:
        self.model = model
        self.challenger = Challenger(challenger, model) if challenger else None
        self.signer = PredictionIdSigner.of(keys or new_key(), model, challenger)
        self.counter = PredictionCounter(model.card, model.uncertainty, self.challenger)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the scorer that the settings describe.

        Raises
        ------
        StoredModelError
            A model is missing, incomplete or altered.
        ConfigurationError
            A key is too short, or the challenger is the model itself.
        """
        key = settings.feedback_key
        model, challenger = load_models(settings)
        return cls(model, key.get_secret_value() if key else None, challenger)

    def predict_proba(self, rows: NDArray[np.float64], selection: Selection) -> NDArray[np.float64]:
        """Return the probability of use of every drug in every window, like `Predictor`, and count the predictions.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
        selection : Selection
            Requested drugs and window.

        Returns
        -------
        ndarray of shape (n, 18, 6)
        """
        probabilities = self.model.predictor.predict_proba(rows)
        self.counter.add(rows, probabilities, selection)
        return probabilities

    def predict_arrays(self, profiles: Sequence[Profile]) -> list[PredictedArrays]:
        """Return the arrays of profiles' predictions, in their order, and count them."""
        rows = np.array([profile.row() for profile in profiles], np.float64)
        columns = design_matrix(rows)
        probabilities = self.model.predictor.predict_design(columns)
        selections = [select(profile.window, profile.drugs) for profile in profiles]
        others = self.challenger.predict_design(columns) if self.challenger else None
        self.counter.add_each(rows, probabilities, selections, others)
        # For the other windows converting to Python numbers would take longer than computing them.
        within = {
            window: probabilities[:, :, window].tolist()
            for window in {selection.window_index for selection in selections}
        }
        selected = [within[selection.window_index][i] for i, selection in enumerate(selections)]
        prediction_ids = self.signer.sign(probabilities, selections, others)
        arrays = list(map(PredictedArrays, rows, probabilities, selected, prediction_ids))
        if any(profile.include for profile in profiles):
            self._add_uncertainty(profiles, rows, probabilities, arrays)
        return arrays

    def _add_uncertainty(
        self,
        profiles: Sequence[Profile],
        rows: NDArray[np.float64],
        probabilities: NDArray[np.float64],
        arrays: list[PredictedArrays],
    ) -> None:
        """Add the intervals and the support to the arrays of the profiles that include them."""
        uncertainty = self.model.uncertainty
        if asked := [i for i, profile in enumerate(profiles) if "interval" in profile.include]:
            bounds = uncertainty.intervals(rows[asked], probabilities[asked]).transpose(1, 2, 3, 0)
            for i, of in zip(asked, bounds, strict=True):
                selected = of[:, codebook.WINDOW_INDEX[profiles[i].window]].tolist()
                arrays[i] = arrays[i]._replace(bounds=of, selected_bounds=selected)
        if asked := [i for i, profile in enumerate(profiles) if "support" in profile.include]:
            figures = (figure.tolist() for figure in uncertainty.support(rows[asked]))
            for i, similar, percentile, level in zip(asked, *figures, strict=True):
                of_person: Support = {
                    "similar": similar,
                    "percentile": percentile,
                    "level": codebook.SUPPORT_LEVELS[level],
                }
                arrays[i] = arrays[i]._replace(support=of_person)

    def predict(self, profiles: Sequence[Profile]) -> list[Prediction]:
        """Return the prediction for each profile, in their order.

        A profile takes microseconds, with an explanation 10 ms.
        """
        return [
            # Built from validated parts: validating them again would cost more than the prediction.
            Prediction.model_construct(
                prediction_id=arrays.prediction_id,
                model=self.model.tag,
                window=profile.window,
                data_source=self.model.card.data.source,
                risks=self._risks(profile, arrays),
                support=arrays.support,
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
            if arrays.bounds is not None and arrays.selected_bounds is not None:
                risk["interval"] = _interval(arrays.selected_bounds[index])
                if "windows" in profile.include:
                    by_window = zip(codebook.WINDOWS, arrays.bounds[index].tolist(), strict=True)
                    risk["window_intervals"] = {window: _interval(bounds) for window, bounds in by_window}
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


def _interval(bounds: Sequence[float]) -> Interval:
    low, high = bounds
    return {"low": low, "high": high}
