"""How good predictions are to be expected to be, before it is known what turned out.

Of predictions with calibrated probabilities p, as many are true as their p add up to: a "High Risk" of p is a true
positive with probability p and a false one with 1 - p, a "Low Risk" a false negative with p. This is the
confidence-based performance estimation of NannyML
(https://nannyml.readthedocs.io/en/stable/how_it_works/performance_estimation.html). It holds while the model is
calibrated for those who ask, so it sees that they have become other people, and not that people of the same profile
behave otherwise: what turned out tells that.
"""

from __future__ import annotations

from pydantic import BaseModel

__all__ = ["Expectation", "expect"]


class Expectation(BaseModel):
    """What is expected of one drug's predictions; None where there are none to tell it from."""

    n: int
    """Predictions."""
    precision: float | None
    """Share of users among those of high risk."""
    sensitivity: float | None
    """Share of those of high risk among users."""
    specificity: float | None
    """Share of those of low risk among others."""
    accuracy: float | None


def expect(high: float, high_probability: float, low: float, low_probability: float) -> Expectation:
    """Return what is expected of predictions: ratios of their expected counts.

    Parameters
    ----------
    high, low : float
        How many are of high and low risk.
    high_probability, low_probability : float
        The sums of their probabilities.

    Examples
    --------
    >>> expect(high=10, high_probability=8, low=30, low_probability=2).sensitivity
    0.8
    """
    true_positives, false_negatives = high_probability, low_probability
    false_positives, true_negatives = high - high_probability, low - low_probability
    return Expectation(
        n=round(high + low),
        precision=_ratio(true_positives, high),
        sensitivity=_ratio(true_positives, true_positives + false_negatives),
        specificity=_ratio(true_negatives, true_negatives + false_positives),
        accuracy=_ratio(true_positives + true_negatives, high + low),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
