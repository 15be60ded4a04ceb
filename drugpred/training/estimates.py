"""Figures of a group of respondents, each with its 95% confidence interval.

The intervals are of drawing the respondents, given the models that cross-validation fitted. Repeats of cross-validation
are averaged and never counted as more respondents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, rankdata, t

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Estimate", "auc", "mean", "share", "wilson"]

_Z: Final = float(norm.ppf(0.975))


class Estimate(NamedTuple):
    """A figure and its interval."""

    value: float
    low: float
    high: float


def wilson(shares: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Return lower and upper bounds of Wilson's interval of shares among n respondents each.

    It holds near 0 and 1 and among few, where the textbook interval does not (L. D. Brown, T. T. Cai and A. DasGupta,
    Statistical Science 16 (2001), 101-133). A share may be a mean over repeats, n times it no whole number.
    """
    p, size = np.asarray(shares, np.float64), np.asarray(n, np.float64)
    centre = (p + _Z**2 / (2 * size)) / (1 + _Z**2 / size)
    half = _Z / (1 + _Z**2 / size) * np.sqrt(p * (1 - p) / size + _Z**2 / (4 * size**2))
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def share(said: NDArray[np.bool_]) -> Estimate:
    """Return the share of what is true, with Wilson's interval.

    Parameters
    ----------
    said : ndarray of shape (repeats, n)
    """
    value = said.mean()
    low, high = wilson(value, said.shape[-1])
    return Estimate(float(value), float(low), float(high))


def mean(values: Floats) -> Estimate:
    """Return the mean of values of shape (n,), with Student's interval."""
    value = float(values.mean())
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(value, value - half, value + half)


def auc(truth: NDArray[np.bool_], probabilities: Floats) -> Estimate:
    """Return the area under the ROC curve, with DeLong's interval on the scale of log-odds.

    E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 44 (1988), 837-845; the scale, which keeps the
    interval below 1 and right among few, as in M. S. Pepe, The Statistical Evaluation of Medical Tests (2003), p. 107.

    Parameters
    ----------
    truth : ndarray of shape (n,)
        Of at least two of each kind.
    probabilities : ndarray of shape (repeats, n)
        Ranked in each repeat apart, because each has its own models.
    """
    ranks = rankdata(probabilities, axis=1)
    users, others = probabilities[:, truth], probabilities[:, ~truth]
    m, n = users.shape[1], others.shape[1]
    # The share of the others that each user is above, and of the users that each other is below.
    above = ((ranks[:, truth] - rankdata(users, axis=1)) / n).mean(axis=0)
    below = 1.0 - ((ranks[:, ~truth] - rankdata(others, axis=1)) / m).mean(axis=0)
    value = float(above.mean())
    error = np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)
    if not 0.0 < value < 1.0:  # all in order, or all in reverse: no error to see, but not none
        low, high = wilson(value, min(m, n))
    else:
        low, high = expit(logit(value) + np.array([-1, 1]) * _Z * error / (value * (1.0 - value)))
    return Estimate(value, float(low), float(high))
