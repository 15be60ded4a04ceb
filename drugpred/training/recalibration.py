"""Recalibrates a stored model from counts of outcomes alone: its log-odds are moved and scaled, drug by drug.

The share of users among those predicted p is modelled as expit(shift + scale logit(p)), which is Cox's calibration line
(D. R. Cox, Biometrika 45 (1958), 562-565). All windows of a drug have one line. It is fitted by maximum likelihood to
the bins of the calibration counters, each with the mean of its probabilities. A drug is changed only if there are
enough outcomes and a likelihood-ratio test rejects that its line is the identity; if no drug is, no model is stored. An
outcome is binomial at most in its variance, and the identity predicts each bin exactly, so the test holds its level.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import skops.io
from scipy.special import expit, logit
from scipy.stats import chi2

from drugpred import model_store
from drugpred.codebook import DRUGS, WINDOWS
from drugpred.model_store import DrugRecalibration, RecalibrationCard
from drugpred.predictor import to_npz
from drugpred.training.estimators import quantize
from drugpred.training.promotion import PromotionError, store_lock
from drugpred.training.stored_pipeline import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from drugpred.model_store import Bins, Card, StoredModel, WindowCard
    from drugpred.training.calibration_counts import CalibrationCounts

MIN_OUTCOMES: Final = 200
MIN_PER_OUTCOME: Final = 20
"""A drug is changed only with at least this number of outcomes, and of users and non-users each."""

MIN_SCALE: Final = 0.1
"""With a smaller scale the outcomes hardly rise with the probability, and rounding would lose the ranking of people."""

LEVEL: Final = 0.01
"""The probability that a model without a fault is changed at all, over all drugs (Bonferroni)."""

_CRITICAL: Final = float(chi2.isf(LEVEL / len(DRUGS), 2))
_SCALE_DEVIATION: Final = 0.5
"""Of the normal prior of the scale, around 1: if nearly all probabilities are in one bin, only the shift is fitted."""

_ITERATIONS: Final = 50
_LARGEST_STEP: Final = 1.0  # Newton's method may otherwise overshoot, as the likelihood is flat far away
_MARGIN: Final = 1e-4  # mean probabilities nearer to 0 and 1 are those of rounded sums


class Lines(NamedTuple):
    """Calibration lines, each array of the same shape."""

    shift: NDArray[np.float64]
    shift_error: NDArray[np.float64]
    """Standard error."""
    scale: NDArray[np.float64]
    scale_error: NDArray[np.float64]
    statistic: NDArray[np.float64]
    """Twice the logarithm of the likelihood ratio to the identity; about chi-squared with 2 degrees of freedom."""


class DrugResult(NamedTuple):
    """The result of a drug."""

    drug: str
    outcomes: float
    expected: float
    """Mean probability; nan without outcomes."""
    observed: float
    """Share of users; nan without outcomes."""
    line: DrugRecalibration | None
    """None if there are too few outcomes."""
    kept: str | None
    """Why the drug stays unchanged; None if it is changed."""


def fit_lines(outcomes: NDArray[np.float64], probability: NDArray[np.float64]) -> Lines:
    """Return the most likely calibration lines; those without users or without non-users mean nothing.

    Parameters
    ----------
    outcomes : ndarray of shape (..., 10, 2)
        Number of outcomes by bin, not used and used.
    probability : ndarray of shape (..., 10)
        Sum of their probabilities.
    """
    unused, used = outcomes[..., 0], outcomes[..., 1]
    n = unused + used
    edges = np.linspace(0.0, 1.0, n.shape[-1] + 1)
    # Sums that a Prometheus extrapolates may differ slightly from the counts.
    mean = np.clip(probability / np.maximum(n, 1e-9), edges[:-1], edges[1:]).clip(_MARGIN, 1.0 - _MARGIN)
    x, precision = logit(mean), _SCALE_DEVIATION**-2
    shift, scale = np.zeros(n.shape[:-1]), np.ones(n.shape[:-1])

    def information() -> tuple[NDArray[np.float64], ...]:
        p = expit(shift[..., None] + scale[..., None] * x)
        weights = n * p * (1.0 - p)
        a, b = weights.sum(-1) + 1e-9, (weights * x).sum(-1)
        c = (weights * x**2).sum(-1) + precision
        return p, a, b, c, a * c - b**2

    for _ in range(_ITERATIONS):
        p, a, b, c, determinant = information()
        residuals = used - n * p
        to_shift, to_scale = residuals.sum(-1), (residuals * x).sum(-1) - precision * (scale - 1.0)
        steps = np.stack([c * to_shift - b * to_scale, a * to_scale - b * to_shift]) / determinant
        steps /= np.maximum(1.0, np.abs(steps).max(axis=0) / _LARGEST_STEP)
        shift, scale = shift + steps[0], scale + steps[1]
    _, a, _, c, determinant = information()

    def log_likelihood(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
        total: NDArray[np.float64] = -(used * np.logaddexp(0, -log_odds) + unused * np.logaddexp(0, log_odds)).sum(-1)
        return total

    gain = log_likelihood(shift[..., None] + scale[..., None] * x) - log_likelihood(x)
    statistic = 2.0 * gain - precision * (scale - 1.0) ** 2
    return Lines(shift, np.sqrt(c / determinant), scale, np.sqrt(a / determinant), statistic)


def is_changed(outcomes: NDArray[np.float64], lines: Lines) -> NDArray[np.bool_]:
    """Return whether each line replaces the identity: it differs by more than chance explains, and it rises."""
    return _is_enough(outcomes) & _is_significant(lines) & _is_rising(lines)


def _is_enough(outcomes: NDArray[np.float64]) -> NDArray[np.bool_]:
    kinds = outcomes.sum(axis=-2)
    enough: NDArray[np.bool_] = (kinds.sum(axis=-1) >= MIN_OUTCOMES) & (kinds.min(axis=-1) >= MIN_PER_OUTCOME)
    return enough


def _is_significant(lines: Lines) -> NDArray[np.bool_]:
    significant: NDArray[np.bool_] = lines.statistic > _CRITICAL
    return significant


def _is_rising(lines: Lines) -> NDArray[np.bool_]:
    rising: NDArray[np.bool_] = lines.scale >= MIN_SCALE
    return rising


def recalibrate(counts: CalibrationCounts) -> list[DrugResult]:
    """Return the result for each drug."""
    lines = fit_lines(counts.outcomes, counts.probability)
    enough, significant, rising = _is_enough(counts.outcomes), _is_significant(lines), _is_rising(lines)
    n = counts.outcomes.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected, observed = counts.probability.sum(axis=1) / n, counts.outcomes[:, :, 1].sum(axis=1) / n

    def result(i: int, drug: str) -> DrugResult:
        kept = None
        if not enough[i]:
            kept = "too few outcomes"
        elif not significant[i]:
            kept = "calibrated"
        elif not rising[i]:
            kept = "unrelated to the outcomes: train again"
        shift, shift_error, scale, scale_error, _ = (round(float(values[i]), 4) for values in lines)
        line = DrugRecalibration(
            outcomes=round(n[i]), shift=shift, shift_error=shift_error, scale=scale, scale_error=scale_error
        )
        return DrugResult(drug, n[i], float(expected[i]), float(observed[i]), line if enough[i] else None, kept)

    return [result(i, drug) for i, drug in enumerate(DRUGS)]


def store(model: StoredModel, results: Sequence[DrugResult], days: int | None) -> str:
    """Store the recalibrated model as the newest version and return its tag.

    The ranking of people by each drug, and their labels, are those of the model, except that weights are rounded.

    Parameters
    ----------
    model : StoredModel
        The model whose predictions were counted.
    results : sequence of DrugResult
        Of its counts.
    days : int, optional
        Days that they were counted in; None since the start of the server.

    Raises
    ------
    PromotionError
        No drug is changed.
    StoredModelError
        The model is incomplete, or a weight becomes too large.
    """
    lines = {of.drug: of.line for of in results if of.line is not None and of.kept is None}
    if not lines:
        raise PromotionError("not stored: for no drug do enough outcomes differ by more than chance explains")
    pipeline = load_pipeline(model.path)
    estimator = pipeline[-1]
    shift, scale = (
        np.repeat([getattr(lines[drug], name) if drug in lines else same for drug in DRUGS], len(WINDOWS))
        for name, same in (("shift", 0.0), ("scale", 1.0))
    )
    for name in ("outputs_", "output_bias_", "direct_"):
        if hasattr(estimator, name):  # logistic regression has no outputs of a hidden layer
            weights = scale * getattr(estimator, name).astype(np.float64)
            setattr(estimator, name, quantize(weights + shift if name == "output_bias_" else weights))
    card = _card(model.card, RecalibrationCard(model=model.tag, days=days, drugs=lines))
    changed = {
        "pipeline.skops": skops.io.dumps(pipeline),
        "network.npz": to_npz(estimator.arrays()),
        "uncertainty.npz": _scaled_deviations(model.path / "uncertainty.npz", scale),
    }
    with store_lock():
        return model_store.write_changed(model, card, changed)


def _scaled_deviations(uncertainty: Path, scale: NDArray[np.float64]) -> bytes:
    """Return the arrays of `Uncertainty` with the standard deviations of the log-odds scaled like them."""
    with np.load(uncertainty, allow_pickle=False) as stored:
        arrays = dict(stored)
    arrays["deviations"] = (arrays["deviations"] * scale[:, np.newaxis]).astype(arrays["deviations"].dtype)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _card(card: Card, recalibration: RecalibrationCard) -> Card:
    """Return the card of a recalibrated model: thresholds and the bins of drift move with the probabilities."""
    drugs, bins = dict(card.drugs), dict(card.probability_bins)
    for drug, line in recalibration.drugs.items():
        drugs[drug] = {window: _moved_threshold(of, line) for window, of in card.drugs[drug].items()}
        bins[drug] = _moved_bins(card.probability_bins[drug], line)
    changes: Mapping[str, object] = {
        "drugs": drugs,
        "probability_bins": bins,
        "recalibration": recalibration,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return card.model_copy(update=changes)


def _moved(probability: float, line: DrugRecalibration) -> float:
    return float(expit(line.shift + line.scale * logit(probability)))


def _moved_threshold(of: WindowCard, line: DrugRecalibration) -> WindowCard:
    return of.model_copy(update={"threshold": round(_moved(of.threshold, line), 6)})


def _moved_bins(bins: Bins, line: DrugRecalibration) -> Bins:
    edges = tuple(_moved(edge, line) for edge in bins.edges)
    labels = (*(f"<={edge:.5f}" for edge in edges), f">{edges[-1]:.5f}")
    return bins.model_copy(update={"edges": edges, "labels": labels})
