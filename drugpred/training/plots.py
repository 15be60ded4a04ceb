"""Data and coordinates of the report's plots, which the template draws as SVG.

All use cross-validated probabilities, averaged over repeats. Plots show shares of several respondents and curves
through a few points, never a single respondent.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil, floor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from drugpred import codebook
from drugpred.training import confidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from drugpred.training.confidence import Estimate

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

_BINS: Final = 10
_RECALLS: Final = np.linspace(0.05, 1.0, 39)  # of fewer users the precision is chance
_FALSE_POSITIVE_RATES: Final = np.linspace(0.0, 1.0, 41) ** 1.5  # closer where the curve is steep


class Axes(NamedTuple):
    """The ranges of a plot, and its position in a drawing of 160 by 160 units."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float = 38.0
    right: float = 154.0
    top: float = 6.0
    bottom: float = 126.0

    def across(self, value: float) -> float:
        """Return the horizontal coordinate of a value."""
        return round(self.left + (value - self.x[0]) / (self.x[1] - self.x[0]) * (self.right - self.left), 1)

    def down(self, value: float) -> float:
        """Return the vertical coordinate of a value."""
        return round(self.bottom - (value - self.y[0]) / (self.y[1] - self.y[0]) * (self.bottom - self.top), 1)

    def line(self, x: ArrayLike, y: ArrayLike) -> str:
        """Return the points of a polyline."""
        points = zip(np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True)
        return " ".join(f"{self.across(a):g},{self.down(b):g}" for a, b in points)


def axis_range(values: ArrayLike) -> tuple[float, float]:
    """Return a range that contains probabilities, with round ends."""
    low, high = float(np.min(values)), float(np.max(values))
    step = next(step for step in (0.02, 0.1, 0.2) if high - low < 6 * step)
    bottom, top = step * floor(round(low / step, 6)), step * ceil(round(high / step, 6))
    return round(bottom, 2), round(top if top > bottom else bottom + step, 2)


class Roc(NamedTuple):
    """A ROC curve, and the rates at the threshold."""

    false_positive_rates: Floats
    true_positive_rates: Floats
    false_positive_rate: Estimate
    true_positive_rate: Estimate


def roc(truth: Bools, probabilities: Floats, predicted: Bools) -> Roc:
    """Return the mean of the repeats' ROC curves.

    Parameters
    ----------
    truth : ndarray of shape (n,)
        Users and non-users.
    probabilities, predicted : ndarray of shape (repeats, n)
    """
    curves = [roc_curve(truth, repeat)[:2] for repeat in probabilities]
    heights = [np.interp(_FALSE_POSITIVE_RATES, *curve) for curve in curves]
    return Roc(
        _FALSE_POSITIVE_RATES,
        np.mean(heights, axis=0),
        confidence.share(predicted[:, ~truth]),
        confidence.share(predicted[:, truth]),
    )


class PrecisionRecall(NamedTuple):
    """A precision-recall curve, and its point at the threshold."""

    recalls: Floats
    precisions: Floats
    recall: float
    precision: float


def precision_recall(truth: Bools, probabilities: Floats, predicted: Bools) -> PrecisionRecall:
    """Return the mean of the repeats' precision-recall curves.

    Parameters
    ----------
    truth : ndarray of shape (n,)
        Users and non-users.
    probabilities, predicted : ndarray of shape (repeats, n)
    """
    curves = [precision_recall_curve(truth, repeat)[:2] for repeat in probabilities]
    precisions = [np.interp(_RECALLS, recall[::-1], precision[::-1]) for precision, recall in curves]
    return PrecisionRecall(
        _RECALLS,
        np.mean(precisions, axis=0),
        float(predicted[:, truth].mean()),
        float((predicted & truth).sum() / max(predicted.sum(), 1)),
    )


class Shares(NamedTuple):
    """Observed shares with their intervals, and predicted shares."""

    predicted: Floats
    share: Floats
    low: Floats
    high: Floats

    def rows(self) -> Iterator[tuple[float, ...]]:
        """Yield rows of predicted, share, low and high."""
        return zip(*(values.tolist() for values in self), strict=True)


def reliability(truth: Bools, probabilities: Floats) -> Shares:
    """Return the share of users in each tenth of the respondents, from the lowest to the highest probability.

    Parameters
    ----------
    truth : ndarray of shape (n,)
    probabilities : ndarray of shape (repeats, n)
    """
    order = np.argsort(probabilities, axis=1, kind="stable")
    edges = np.linspace(0, len(truth), _BINS + 1).astype(int)
    tenths = [order[:, start:end] for start, end in pairwise(edges)]
    predicted = [np.take_along_axis(probabilities, tenth, axis=1).mean() for tenth in tenths]
    shares = np.array([truth[tenth].mean() for tenth in tenths])
    return Shares(np.array(predicted), shares, *confidence.wilson_interval(shares, np.diff(edges)))


def recency(last_use: NDArray[np.integer[Any]], probabilities: Floats) -> Shares:
    """Return the observed and the predicted distribution of the seven classes of last use.

    Parameters
    ----------
    last_use : ndarray of shape (n,)
    probabilities : ndarray of shape (repeats, n, 6)
        Probabilities of use within each window.
    """
    shares = np.bincount(last_use, minlength=len(codebook.LAST_USE)) / len(last_use)
    within = np.concatenate([[1.0], probabilities.mean(axis=(0, 1)), [0.0]])
    return Shares(within[:-1] - within[1:], shares, *confidence.wilson_interval(shares, len(last_use)))
