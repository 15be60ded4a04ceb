"""What turned out, against what was said of it: counters that workers and replicas add up, and the measures of them.

Sums of scores and of probabilities stand beside counts, so that each measure is a quotient of sums: a recording rule
makes it of Prometheus' series as `measures` does of one process'.
"""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client import Counter

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.monitoring.metrics import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prometheus_client.samples import Sample

    from drugpred.codebook import Drug
    from drugpred.monitoring.tokens import Claim

__all__ = ["BINS", "CalibrationBin", "Measures", "calibration", "count", "measures", "record"]

BINS: Final = tuple(f"{i / 10:.1f}-{(i + 1) / 10:.1f}" for i in range(10))
"""Bins of probability."""

_KINDS: Final = ("not used", "used")

_FEEDBACK: Final = Counter("drugpred_feedback", "Feedback by what became of it.", ["result"])
_OUTCOMES: Final = Counter("drugpred_outcomes", "Outcomes, by what was said.", ["drug", "window", "label", "outcome"])
_BRIER: Final = Counter(
    "drugpred_brier", "Sum over outcomes of the squared error of the probability.", ["drug", "window"]
)
_LOG_LOSS: Final = Counter(
    "drugpred_log_loss", "Sum over outcomes of minus the logarithm of the probability given to it.", ["drug", "window"]
)
_BIN_OUTCOMES: Final = Counter(
    "drugpred_calibration_outcomes", "Outcomes by bin of probability.", ["drug", "bin", "outcome"]
)
_BIN_PROBABILITY: Final = Counter(
    "drugpred_calibration_probability", "Sum over outcomes of the probability, by its bin.", ["drug", "bin"]
)


class Measures(NamedTuple):
    """How well what was said of one drug within one window turned out; None where nobody was there to tell it from."""

    used: int
    """Outcomes of those who used it."""
    not_used: int
    sensitivity: float | None
    """The share of High Risk among those who used it."""
    specificity: float | None
    """The share of Low Risk among those who did not."""
    brier: float
    log_loss: float


class CalibrationBin(NamedTuple):
    """Answers whose probability lay in one bin."""

    outcomes: int
    probability: float
    """Their mean probability."""
    used: float
    """The share that turned out to have used the drug."""


def prepare() -> None:
    """Begin all series at 0, so that Prometheus sees the first outcome of each as an increase."""
    for drug, window in product(DRUGS, WINDOWS):
        _BRIER.labels(drug, window)
        _LOG_LOSS.labels(drug, window)
        for label, outcome in product(LABELS, _KINDS):
            _OUTCOMES.labels(drug, window, label, outcome)
    for drug, at in product(DRUGS, BINS):
        _BIN_PROBABILITY.labels(drug, at)
        for outcome in _KINDS:
            _BIN_OUTCOMES.labels(drug, at, outcome)


def count(result: str) -> None:
    """Count feedback by what became of it."""
    _FEEDBACK.labels(result).inc()


def record(claim: Claim, outcomes: Mapping[Drug, bool], thresholds: Mapping[Drug, float]) -> None:
    """Count outcomes of an answer.

    Parameters
    ----------
    claim : Claim
        The answer, which told of all these drugs.
    outcomes : mapping of str to bool
        By drug, whether it was used within the answer's window.
    thresholds : mapping of str to float
        By drug, the probability from which on the label is High Risk within that window.
    """
    window = claim.window
    for drug, used in outcomes.items():
        probability = claim.probabilities[drug]
        outcome = _KINDS[used]
        label = LABELS[probability >= thresholds[drug]]
        at = BINS[int(probability * len(BINS))]
        _OUTCOMES.labels(drug, window, label, outcome).inc()
        _BRIER.labels(drug, window).inc((probability - used) ** 2)
        _LOG_LOSS.labels(drug, window).inc(-math.log(probability if used else 1 - probability))
        _BIN_OUTCOMES.labels(drug, at, outcome).inc()
        _BIN_PROBABILITY.labels(drug, at).inc(probability)


def measures(samples: Sequence[Sample]) -> dict[tuple[str, str], Measures]:
    """Return the measures of each drug and window of which there are outcomes.

    Parameters
    ----------
    samples : sequence of Sample
        Among them those of this module's counters, of any number of processes.
    """
    counts = _sums(samples, "drugpred_outcomes_total", "drug", "window", "label", "outcome")
    brier = _sums(samples, "drugpred_brier_total", "drug", "window")
    log_loss = _sums(samples, "drugpred_log_loss_total", "drug", "window")
    found = {}
    for drug, window in sorted({key[:2] for key, value in counts.items() if value}):
        high, missed, false_alarms, low = (
            counts[drug, window, label, outcome] for outcome in reversed(_KINDS) for label in reversed(LABELS)
        )
        n = high + missed + false_alarms + low
        found[drug, window] = Measures(
            used=round(high + missed),
            not_used=round(false_alarms + low),
            sensitivity=_share(high, missed),
            specificity=_share(low, false_alarms),
            brier=brier[drug, window] / n,
            log_loss=log_loss[drug, window] / n,
        )
    return found


def calibration(samples: Sequence[Sample]) -> dict[str, dict[str, CalibrationBin]]:
    """Return of each drug the bins of probability in which there are outcomes, over all windows.

    Parameters
    ----------
    samples : sequence of Sample
        Among them those of this module's counters, of any number of processes.
    """
    counts = _sums(samples, "drugpred_calibration_outcomes_total", "drug", "bin", "outcome")
    probability = _sums(samples, "drugpred_calibration_probability_total", "drug", "bin")
    found: dict[str, dict[str, CalibrationBin]] = {}
    for drug, at in sorted({key[:2] for key, value in counts.items() if value}):
        used, not_used = counts[drug, at, "used"], counts[drug, at, "not used"]
        n = used + not_used
        found.setdefault(drug, {})[at] = CalibrationBin(round(n), probability[drug, at] / n, used / n)
    return found


def _sums(samples: Sequence[Sample], name: str, *labels: str) -> defaultdict[tuple[str, ...], float]:
    sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for sample in samples:
        if sample.name == name:
            sums[tuple(sample.labels[label] for label in labels)] += sample.value
    return sums


def _share(some: float, others: float) -> float | None:
    return some / (some + others) if some + others else None
