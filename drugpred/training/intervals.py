"""Confidence intervals of cross-validated figures.

Folds share training rows, so the variance of their mean is larger than a J-th of theirs. It is estimated as
(1/J + n_test/n_train) s^2, and t is taken at J - 1 degrees of freedom: C. Nadeau and Y. Bengio, Inference for the
generalization error, Machine Learning 52 (2003), 239-281, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["half_widths"]


def half_widths(values: NDArray[np.float64], test_to_train: float, confidence: float = 0.95) -> NDArray[np.float64]:
    """Return half the width of the corrected interval of a mean over folds.

    Of the differences of two models fold by fold it is that of their mean difference, which is beyond the error where
    it is larger than this.

    Parameters
    ----------
    values : ndarray of shape (folds, ...)
        A figure by fold; nan where a fold could not be measured, which then does not count.
    test_to_train : float
        Test rows by training rows of a fold: 1/4 with five folds.
    confidence : float

    Returns
    -------
    ndarray of the shape of one fold's values
        nan where fewer than two folds were measured.

    Examples
    --------
    >>> half_widths(np.array([0.8, 0.9, 0.85]), test_to_train=0.5).round(3)
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
        result[enough] = student.ppf((1 + confidence) / 2, n - 1) * np.sqrt((1 / n + test_to_train) * variance)
    return result
