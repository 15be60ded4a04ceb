"""Counters of reported outcomes against predictions; workers and replicas add up.

The metrics are sums of scores and of probabilities next to counts, so that a recording rule computes each measure as a
ratio of sums.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Final

from drugpred.codebook import DRUGS, RISK_LABELS, WINDOWS
from drugpred.monitoring import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drugpred.codebook import Drug
    from drugpred.monitoring.feedback.prediction_id import PredictionClaim

BINS: Final = tuple(f"{i / 10:.1f}-{(i + 1) / 10:.1f}" for i in range(10))  # bins of the probability

OUTCOMES: Final = ("not used", "used")  # the labels of an outcome


def prepare() -> None:
    """Set all series to 0, so that Prometheus sees the first outcome of each as an increase."""
    for drug, window in product(DRUGS, WINDOWS):
        metrics.BRIER.labels(drug, window)
        metrics.LOG_LOSS.labels(drug, window)
        for label, outcome in product(RISK_LABELS, OUTCOMES):
            metrics.OUTCOMES.labels(drug, window, label, outcome)
    for drug, at in product(DRUGS, BINS):
        metrics.CALIBRATION_PROBABILITY.labels(drug, at)
        for outcome in OUTCOMES:
            metrics.CALIBRATION_OUTCOMES.labels(drug, at, outcome)


def bin_of(probability: float) -> str:
    """Return the bin of a probability below 1."""
    return BINS[int(probability * len(BINS))]


def losses(probability: float, used: bool) -> tuple[float, float]:
    """Return the squared error of a probability, and minus the logarithm of that of the outcome."""
    return (probability - used) ** 2, -math.log(probability if used else 1 - probability)


def count(result: str) -> None:
    """Count feedback by its result."""
    metrics.FEEDBACK.labels(result).inc()


def record(claim: PredictionClaim, outcomes: Mapping[Drug, bool], thresholds: Mapping[Drug, float]) -> None:
    """Count the outcomes of a prediction.

    Parameters
    ----------
    claim : PredictionClaim
        The prediction, which includes all these drugs.
    outcomes : mapping of str to bool
        By drug, whether it was used within the prediction's window.
    thresholds : mapping of str to float
        By drug, the threshold of High Risk within that window.
    """
    window = claim.window
    for drug, used in outcomes.items():
        probability = claim.probabilities[drug]
        outcome = OUTCOMES[used]
        label = RISK_LABELS[probability >= thresholds[drug]]
        at = bin_of(probability)
        metrics.OUTCOMES.labels(drug, window, label, outcome).inc()
        brier, log_loss = losses(probability, used)
        metrics.BRIER.labels(drug, window).inc(brier)
        metrics.LOG_LOSS.labels(drug, window).inc(log_loss)
        metrics.CALIBRATION_OUTCOMES.labels(drug, at, outcome).inc()
        metrics.CALIBRATION_PROBABILITY.labels(drug, at).inc(probability)
