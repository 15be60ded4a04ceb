"""A challenger: a second model that predicts what the served one answers, and is compared with it.

Its predictions are never part of an answer, and nothing about a person is stored: disagreement is counted with all else
once a second, and a `prediction_id` holds both models' probabilities, so that feedback scores both on the same people.
"""

from __future__ import annotations

import logging
import math
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from drugpred.codebook import DECADE, DRUGS, RISK_LABELS, WINDOWS
from drugpred.monitoring import comparison, metrics
from drugpred.monitoring.binning import Binning
from drugpred.monitoring.counters import Sums, totals
from drugpred.monitoring.outcome_metrics import BINS, OUTCOMES, bin_of, losses
from drugpred.schemas import Challenge, Disagreement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from drugpred.codebook import Drug
    from drugpred.model_store import StoredModel
    from drugpred.monitoring.feedback.prediction_id import PredictionClaim
    from drugpred.schemas import Comparison

logger = logging.getLogger(__name__)

_LOSSES: Final = ("brier", "log_loss")
_SERVED: Final = "served"
_CHALLENGER: Final = "challenger"


class ServedWindow(NamedTuple):
    """The served model's predictions within one window."""

    window: int  # its index
    parts: Sequence[int]  # the parts of the people that it was requested for
    probabilities: NDArray[np.float64]  # shape (18, m)
    selected: NDArray[np.bool_]  # shape (18, m), whether a drug was requested


Within = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""Probabilities of n people within the requested window and within the decade, each of shape (n, 18)."""


def within(probabilities: NDArray[np.float64], window: int) -> Within:
    """Return copies of the counted probabilities, so that the probabilities of all windows need not stay in memory.

    Parameters
    ----------
    probabilities : ndarray of shape (n, 18, 6)
    window : int
        Index of the requested window.
    """
    requested = probabilities[:, :, window].copy()
    return requested, requested if window == DECADE else probabilities[:, :, DECADE].copy()


class Challenger:
    """The challenger of a worker; after its first failure it predicts and counts nothing.

    Several threads may use it.

    Parameters
    ----------
    model : StoredModel
        The challenger.
    served : StoredModel
        The model whose predictions are answered.
    """

    def __init__(self, model: StoredModel, served: StoredModel) -> None:
        self.model = model
        self._pair = {"served": served.tag, "challenger": model.tag}
        self._failed = False
        self._bins = Binning(model.card.probability_bins)
        self._thresholds, self._served_thresholds = model.card.thresholds, served.card.thresholds
        # Series must start at 0 for Prometheus to see their first increase.
        self._scores = Sums([metrics.CHALLENGER_SCORES.labels(*of) for of in self._bins.series])
        self._predictions, self._probability = (
            {of: Sums([counter.labels(drug, *of) for drug in DRUGS]) for of in product(WINDOWS, RISK_LABELS)}
            for counter in (metrics.CHALLENGER_PREDICTIONS, metrics.CHALLENGER_PROBABILITY)
        )
        self._absolute, self._squared, self._flips = (
            {window: Sums([counter.labels(drug, window) for drug in DRUGS]) for window in WINDOWS}
            for counter in (
                metrics.CHALLENGER_ABSOLUTE_DIFFERENCE,
                metrics.CHALLENGER_SQUARED_DIFFERENCE,
                metrics.CHALLENGER_FLIPS,
            )
        )
        by_window = (self._predictions, self._probability, self._absolute, self._squared, self._flips)
        self.sums = (self._scores, *(each for sums in by_window for each in sums.values()))
        """The sums that `count` adds to."""
        for window, drug in product(WINDOWS, DRUGS):
            metrics.CHALLENGER_OUTCOMES.labels(drug, window)
            for loss in _LOSSES:
                metrics.CHALLENGER_LOSS_SQUARES.labels(drug, window, loss)
                for which in (_SERVED, _CHALLENGER):
                    metrics.CHALLENGER_LOSS.labels(drug, window, loss, which)
        for drug, at in product(DRUGS, BINS):
            metrics.CHALLENGER_CALIBRATION_PROBABILITY.labels(drug, at)
            for outcome in OUTCOMES:
                metrics.CHALLENGER_CALIBRATION_OUTCOMES.labels(drug, at, outcome)
        self._people = metrics.CHALLENGER_PEOPLE.labels(**self._pair)
        self._person_losses = {
            of: metrics.CHALLENGER_PERSON_LOSS.labels(**self._pair, loss=of[0], model=of[1])
            for of in product(_LOSSES, (_SERVED, _CHALLENGER))
        }
        self._person_squares = {
            loss: metrics.CHALLENGER_PERSON_SQUARES.labels(**self._pair, loss=loss) for loss in _LOSSES
        }

    def predict_design(self, columns: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return the challenger's `Predictor.predict_design`, or None if it has failed."""
        if self._failed:
            return None
        try:
            return self.model.predictor.predict_design(columns)
        except Exception:  # noqa: BLE001 - a failure must not reach the answer
            self._drop()
            return None

    def count(
        self,
        rows: Sequence[NDArray[np.float64]],
        known: Sequence[Within | None],
        served: Sequence[ServedWindow],
    ) -> None:
        """Count the challenger's predictions for people, and how the served model's differ.

        Parameters
        ----------
        rows : sequence of ndarray of shape (m, 12)
            Parts of the people.
        known : sequence of Within or None
            The challenger's probabilities of each part, None if no answer has them.
        served : sequence of ServedWindow
            The served model's predictions for the same parts.
        """
        if self._failed:
            return
        try:
            predict, parts = self.model.predictor.predict_proba, list(known)
            for each in served:
                for i in each.parts:
                    parts[i] = parts[i] or within(predict(rows[i]), each.window)
            requested, decade = zip(*[part for part in parts if part], strict=True)
            self._scores.add(self._bins.count(np.concatenate(decade).T))
            for each in served:
                self._count(each, np.concatenate([requested[i] for i in each.parts]).T)
        except Exception:  # noqa: BLE001 - as above
            self._drop()

    def _count(self, served: ServedWindow, q: NDArray[np.float64]) -> None:
        window, index, p, chosen = WINDOWS[served.window], served.window, served.probabilities, served.selected
        difference = np.where(chosen, q - p, 0.0)
        high = q >= self._thresholds[:, index, None]
        flipped = (high != (p >= self._served_thresholds[:, index, None])) & chosen
        self._absolute[window].add(np.abs(difference).sum(1))
        self._squared[window].add(np.einsum("ij,ij->i", difference, difference))
        self._flips[window].add(np.count_nonzero(flipped, axis=1))
        for label, predicted in zip(RISK_LABELS, (~high & chosen, high & chosen), strict=True):
            self._predictions[window, label].add(np.count_nonzero(predicted, axis=1))
            self._probability[window, label].add(np.einsum("ij,ij->i", q, predicted))

    def record(self, claim: PredictionClaim, outcomes: Mapping[Drug, bool]) -> None:
        """Count the losses of both models on one person's outcomes, if the prediction has the challenger's too."""
        if claim.challenger is None:
            return
        window = claim.window
        people = np.zeros((len(_LOSSES), 2))
        for drug, used in outcomes.items():
            q = claim.challenger[drug]
            metrics.CHALLENGER_OUTCOMES.labels(drug, window).inc()
            at = bin_of(q)
            metrics.CHALLENGER_CALIBRATION_OUTCOMES.labels(drug, at, OUTCOMES[used]).inc()
            metrics.CHALLENGER_CALIBRATION_PROBABILITY.labels(drug, at).inc(q)
            both = np.array([losses(claim.probabilities[drug], used), losses(q, used)]).T
            people += both
            for loss, (served, challenger) in zip(_LOSSES, both.tolist(), strict=True):
                metrics.CHALLENGER_LOSS.labels(drug, window, loss, _SERVED).inc(served)
                metrics.CHALLENGER_LOSS.labels(drug, window, loss, _CHALLENGER).inc(challenger)
                metrics.CHALLENGER_LOSS_SQUARES.labels(drug, window, loss).inc((challenger - served) ** 2)
        self._people.inc()
        for loss, (served, challenger) in zip(_LOSSES, (people / len(outcomes)).tolist(), strict=True):
            self._person_losses[loss, _SERVED].inc(served)
            self._person_losses[loss, _CHALLENGER].inc(challenger)
            self._person_squares[loss].inc((challenger - served) ** 2)

    def _drop(self) -> None:
        self._failed = True
        metrics.CHALLENGER_FAILURES.inc()
        logger.exception("the challenger %s failed and is dropped; answers are not affected", self.model.tag)

    def report(self) -> Challenge:
        """Return the comparison of the challenger with the served model over all workers of this server.

        It takes some milliseconds: call it in a thread.
        """
        pair = tuple(self._pair.values())
        found = totals(
            {
                "drugpred_challenger_predictions": ("drug",),
                "drugpred_challenger_absolute_difference": ("drug",),
                "drugpred_challenger_squared_difference": ("drug",),
                "drugpred_challenger_flips": ("drug",),
                "drugpred_challenger_people": ("served", "challenger"),
                "drugpred_challenger_person_loss": ("served", "challenger", "loss", "model"),
                "drugpred_challenger_person_squares": ("served", "challenger", "loss"),
                "drugpred_challenger_failures": (),
            }
        )
        predictions, absolute, squared, flips, people, loss, squares, failures = found
        n = people.get(pair, 0.0)

        def compared(name: str) -> Comparison:
            served, challenger = (loss.get((*pair, name, of), 0.0) for of in (_SERVED, _CHALLENGER))
            return comparison.compare(n, served, challenger, squares.get((*pair, name), 0.0))

        return Challenge(
            model=pair[0],
            challenger=pair[1],
            failed=bool(failures.get((), 0.0)),
            disagreement={
                drug: disagreement(
                    predictions.get((drug,), 0.0),
                    absolute.get((drug,), 0.0),
                    squared.get((drug,), 0.0),
                    flips.get((drug,), 0.0),
                )
                for drug in DRUGS
            },
            people=round(n),
            brier=compared("brier"),
            log_loss=compared("log_loss"),
        )


def disagreement(n: float, absolute: float, squared: float, flips: float) -> Disagreement:
    """Return the disagreement of two models from sums over n predictions."""
    if not n:
        return Disagreement(predictions=0, mean_absolute=None, root_mean_square=None, flips=None)
    return Disagreement(
        predictions=round(n), mean_absolute=absolute / n, root_mean_square=math.sqrt(squared / n), flips=flips / n
    )
