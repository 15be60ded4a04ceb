"""Whether one model's losses are lower than another's on the same people, at any time one looks.

A confidence sequence covers the mean difference at all numbers of people at once, so that looking each minute and
stopping at the first sign is allowed; a confidence interval would then be wrong far more often than it says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from drugpred.schemas import Comparison

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALPHA: Final = 0.05
"""The largest probability that the sequence ever misses the mean difference, so that equal models seem different."""

MIN_PEOPLE: Final = 100
"""People before which nothing is decided: the sequence is asymptotic."""

_TIGHTEST: Final = 500  # number of people at which the sequence is as narrow as it can be

TUNING: Final = (-2 * math.log(ALPHA) + math.log(1 - 2 * math.log(ALPHA))) / _TIGHTEST
"""The sequence's rho squared, for the narrowest bounds at 500 people."""


def radius(n: float, variance: float) -> float:
    """Return half the width of the confidence sequence of a mean.

    I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas, Annals of Statistics 52 (2024), 2613-2640,
    theorem 2.2.

    Parameters
    ----------
    n : float
        Observations so far, at least 1.
    variance : float
        Theirs.

    Examples
    --------
    >>> round(radius(500, 1.0), 4), round(1.96 * (1 / 500) ** 0.5, 4)
    (0.1346, 0.0877)
    """
    scaled = n * TUNING + 1
    return math.sqrt(variance * 2 * scaled / (n * n * TUNING) * math.log(math.sqrt(scaled) / ALPHA))


def compare(n: float, served: float, challenger: float, squares: float) -> Comparison:
    """Return the comparison of two models' losses on the same n people.

    Parameters
    ----------
    n : float
    served, challenger : float
        Sums of their losses.
    squares : float
        Sum of the squared differences of the losses.
    """
    if not n:
        return Comparison(served=None, challenger=None, difference=None, error=None, low=None, high=None, verdict=None)
    mean = (challenger - served) / n
    variance = max(squares / n - mean * mean, 0.0)
    width = radius(n, variance)
    low, high = mean - width, mean + width
    verdict = None
    if n >= MIN_PEOPLE:
        verdict = "better" if high < 0 else "worse" if low > 0 else "undecided"
    return Comparison(
        served=served / n,
        challenger=challenger / n,
        difference=mean,
        error=math.sqrt(variance / n),
        low=low,
        high=high,
        verdict=verdict,
    )


def compare_losses(served: NDArray[np.float64], challenger: NDArray[np.float64]) -> Comparison:
    """Return the comparison of two models' losses on the same people.

    Parameters
    ----------
    served, challenger : ndarray of shape (n,)
    """
    differences = challenger - served
    return compare(len(served), float(served.sum()), float(challenger.sum()), float(differences @ differences))
