"""95% confidence intervals: of metrics within a group of respondents, and of means over cross-validation folds.

The intervals of groups cover the sampling of respondents, for fixed fitted models. Repeats of cross-validation are
averaged and never counted as additional respondents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, rankdata, t

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

_Z: Final = float(norm.ppf(0.975))


class Estimate(NamedTuple):
    """A metric and its interval."""

    value: float
    low: float
    high: float


def wilson_interval(shares: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Return lower and upper bounds of Wilson's interval of shares among n respondents each.

    It is accurate near 0 and 1 and for small n, where the textbook interval is not (L. D. Brown, T. T. Cai and A.
    DasGupta, Statistical Science 16 (2001), 101-133). A share may be a mean over repeats.
    """
    p, size = np.asarray(shares, np.float64), np.asarray(n, np.float64)
    centre = (p + _Z**2 / (2 * size)) / (1 + _Z**2 / size)
    half = _Z / (1 + _Z**2 / size) * np.sqrt(p * (1 - p) / size + _Z**2 / (4 * size**2))
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def share(values: NDArray[np.bool_]) -> Estimate:
    """Return the share of true values, with Wilson's interval.

    Parameters
    ----------
    values : ndarray of shape (repeats, n)
    """
    value = values.mean()
    low, high = wilson_interval(value, values.shape[-1])
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
        With at least two users and two non-users.
    probabilities : ndarray of shape (repeats, n)
        Ranked separately in each repeat, because each has its own models.
    """
    ranks = rankdata(probabilities, axis=1)
    users, others = probabilities[:, truth], probabilities[:, ~truth]
    m, n = users.shape[1], others.shape[1]
    # The share of non-users ranked below each user, and of users ranked above each non-user.
    above = ((ranks[:, truth] - rankdata(users, axis=1)) / n).mean(axis=0)
    below = 1.0 - ((ranks[:, ~truth] - rankdata(others, axis=1)) / m).mean(axis=0)
    value = float(above.mean())
    error = np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)
    if not 0.0 < value < 1.0:  # a perfect ranking has no observed error, but is not certain
        low, high = wilson_interval(value, min(m, n))
    else:
        low, high = expit(logit(value) + np.array([-1, 1]) * _Z * error / (value * (1.0 - value)))
    return Estimate(value, float(low), float(high))


def corrected_half_widths(
    values: NDArray[np.float64], test_to_train: float, confidence: float = 0.95
) -> NDArray[np.float64]:
    """Return half the width of the confidence interval of a mean over cross-validation folds.

    Folds share training rows, so the variance of their mean is estimated as (1/J + n_test/n_train) s^2, and Student's t
    is taken at J - 1 degrees of freedom: C. Nadeau and Y. Bengio, Inference for the generalization error, Machine
    Learning 52 (2003), 239-281, section 3. Two models differ significantly if their mean difference is larger than
    the half width of their differences by fold.

    Parameters
    ----------
    values : ndarray of shape (folds, ...)
        A metric by fold; nan for a fold that could not be measured, which is left out.
    test_to_train : float
        Ratio of test rows to training rows of a fold: 1/4 with five folds.
    confidence : float

    Returns
    -------
    ndarray of the shape of one fold's values
        nan if fewer than two folds were measured.

    Examples
    --------
    >>> corrected_half_widths(np.array([0.8, 0.9, 0.85]), test_to_train=0.5).round(3)
    array(0.196)
    """
    known = np.isfinite(values)
    count = known.sum(axis=0)
    result = np.full(values.shape[1:], np.nan)
    enough = count >= 2
    if enough.any():
        several = values[:, enough]
        n = count[enough]
        variance = np.nanvar(several, axis=0, ddof=1)
        result[enough] = t.ppf((1 + confidence) / 2, n - 1) * np.sqrt((1 / n + test_to_train) * variance)
    return result
