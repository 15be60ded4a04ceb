"""How sure a probability is, and how many respondents are like a person; with numpy alone.

An interval holds the probability of use with a chance of 90%. It is an interval of the probability, not of the person,
and it is conditional on the sample. Its variance in log-odds is that of a Laplace approximation: the covariance of a
linear model of each output, given the data and the penalty. `drugpred.training.laplace` makes it.

Support is 1 / leverage: the number of respondents whose answers would make an estimate for the person as sure as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from drugpred import codebook
from drugpred.predictor import N_COLUMNS, STARTS, design_matrix, reading, require_shapes

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

CONFIDENCE: Final = 0.9  # the chance of an interval to hold the probability

VARIANCE_FACTOR: Final = 1.5
MODEL_ERROR: Final = 0.25
"""The squared standard error is `VARIANCE_FACTOR` v + `MODEL_ERROR`^2, in log-odds, for a variance v of the linear
model. The factor makes up for its smoothness, the model error for a misfit that no v measures. Both were chosen for
coverage in simulations with known probabilities, see drugpred/training/README.md."""

THIN_PERCENTILE: Final = 5  # below it a person's support is thin
UNUSUAL_PERCENTILE: Final = 1  # below it a person is unusual; also beyond 100 minus it by the distance of the scores

N_OUTPUTS: Final = len(codebook.DRUGS) * len(codebook.WINDOWS)

_QUANTILE: Final = 1.6448536269514722  # of the normal distribution, at the upper end of the interval
_SCALE: Final = _QUANTILE**2 * VARIANCE_FACTOR
_LEAST: Final = np.array((_QUANTILE * MODEL_ERROR) ** 2, np.float32)
_ONE: Final = np.array(1.0)
_TWO: Final = np.array(2)

_BLOCK: Final = 128  # people at once, whose arrays fit in a core's cache

_SHAPE: Final = (-1, len(codebook.DRUGS), len(codebook.WINDOWS))

_INPUT_OF: Final = np.repeat(np.arange(len(codebook.INPUTS)), np.diff([*STARTS, N_COLUMNS]))


def _pairs() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of design columns that a person can have: not two levels of one category."""
    first, second = np.triu_indices(N_COLUMNS)
    possible = (first == second) | (_INPUT_OF[first] != _INPUT_OF[second])
    return first[possible], second[possible]


FIRST, SECOND = _pairs()
"""Both columns of each of the 647 pairs."""

_N_SCORES: Final = len(codebook.SCORES)


class Support(NamedTuple):
    """The support of n people: how many respondents are like each, as arrays of shape (n,)."""

    similar: NDArray[np.intp]
    """The number of respondents as whole numbers, 1 / leverage."""
    percentile: NDArray[np.intp]
    """Percent of the respondents whose support is lower, from 0 to 99."""
    level: NDArray[np.intp]
    """Index in `codebook.SUPPORT_LEVELS`."""


class Uncertainty:
    """Intervals of the probabilities of a model, and the support of its respondents.

    Parameters
    ----------
    deviations : ndarray of shape (108, 38)
        Standard deviation of the weight of each design column in each log-odds.
    correlations : ndarray of shape (108, 609)
        Correlation of the weights of each pair of different columns of `FIRST` and `SECOND`, times 127.
    leverage : ndarray of shape (38, 38)
        The leverage of a person is the quadratic form of this matrix.
    percentiles : ndarray of shape (99,)
        Percentiles of the respondents' `similar`, from 1 to 99.
    center : ndarray of shape (7,)
        Mean of the respondents' scores.
    precision : ndarray of shape (7, 7)
        Inverse of their covariance.
    distance : ndarray of shape ()
        The squared distance of the scores from which a person is unusual.

    Raises
    ------
    StoredModelError
        The shapes of the arrays are others, or a value is not finite.
    """

    def __init__(
        self,
        deviations: NDArray[np.floating],
        correlations: NDArray[np.integer],
        leverage: NDArray[np.floating],
        percentiles: NDArray[np.floating],
        center: NDArray[np.floating],
        precision: NDArray[np.floating],
        distance: NDArray[np.floating],
    ) -> None:
        differ = FIRST != SECOND
        shapes = (
            (N_OUTPUTS, N_COLUMNS),
            (N_OUTPUTS, int(differ.sum())),
            (N_COLUMNS, N_COLUMNS),
            (99,),
            (_N_SCORES,),
            (_N_SCORES, _N_SCORES),
            (),
        )
        require_shapes((deviations, correlations, leverage, percentiles, center, precision, distance), shapes)
        deviation = np.asarray(deviations, np.float64).T
        table = deviation[FIRST] * deviation[SECOND]
        table[differ] *= np.asarray(correlations, np.float64).T * (2.0 / 127.0)
        # Scaled to the squared half width of the interval in log-odds; every person has exactly one age.
        table *= _SCALE
        table[(FIRST == SECOND) & (STARTS[1] > FIRST)] += _LEAST
        # In single precision it is half as long in memory, which takes most of the time.
        self._table = table.astype(np.float32)
        # One product for both quadratic forms; here too the terms without a score are those of the age levels.
        scores, ages = slice(-_N_SCORES, None), slice(int(STARTS[1]))
        distances = np.zeros((N_COLUMNS, N_COLUMNS))
        distances[scores, scores] = precision
        shift = np.asarray(precision, np.float64) @ np.asarray(center, np.float64)
        distances[ages, scores] -= 2.0 * shift
        distances[ages, ages] += float(center @ shift)
        self._forms = np.hstack([np.asarray(leverage, np.float64), distances])
        self._level = np.array([2] * UNUSUAL_PERCENTILE + [1] * (THIN_PERCENTILE - UNUSUAL_PERCENTILE) + [0] * 95)
        self._percentiles = np.asarray(percentiles, np.float64)
        self._distance = float(distance)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file of `drugpred.training.laplace`, without running code in the file.

        Raises
        ------
        StoredModelError
            The file is missing, damaged, or has other arrays.
        """
        with reading(path, "uncertainty"), path.open("rb") as file:
            return cls.read(file)

    @classmethod
    def read(cls, file: BinaryIO) -> Self:
        """Read an open file; see `load`."""
        with np.load(file, allow_pickle=False) as arrays:
            return cls(**arrays)

    def intervals(self, rows: NDArray[np.float64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the lower and upper bound of each probability.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
            Respondents' rows, as `drugpred.codebook` describes them.
        probabilities : ndarray of shape (n, 18, 6)
            As `Predictor.predict_proba` returns them.

        Returns
        -------
        ndarray of shape (2, n, 18, 6)
            Lower bounds, at most the probability, and upper bounds, at least the probability. Like the probabilities,
            neither rises along the windows.
        """
        if len(rows) <= _BLOCK:
            return self._intervals(rows, probabilities)
        bounds = np.empty((2, *probabilities.shape))
        for start in range(0, len(rows), _BLOCK):
            block = slice(start, start + _BLOCK)
            bounds[:, block] = self._intervals(rows[block], probabilities[block])
        return bounds

    def _intervals(self, rows: NDArray[np.float64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = design_matrix(rows).astype(np.float32)
        pairs = columns.take(FIRST, 1)
        pairs *= columns.take(SECOND, 1)
        # A product for each row: within a larger product its rounding would depend on the other rows. For a single row
        # dot has the same bits, in a third of the time.
        squares = pairs.dot(self._table) if len(rows) == 1 else np.matmul(pairs[:, np.newaxis], self._table)
        # The correlations are rounded, so a small variance may be below 0.
        np.maximum(squares, _LEAST, out=squares)
        np.sqrt(squares, squares)
        factor = np.exp(squares, dtype=np.float64).reshape(_SHAPE)
        # The odds are divided by the factor, and multiplied by it.
        bounds, others = np.empty((2, *probabilities.shape)), np.empty((2, *probabilities.shape))
        low, high = bounds
        low[:] = probabilities
        np.multiply(probabilities, factor, high)
        np.subtract(_ONE, probabilities, others[1])
        np.multiply(others[1], factor, others[0])
        others += bounds
        bounds /= others
        bounds[..., ::-1].sort()  # a drug's windows contain each other, as with the probabilities
        np.minimum(low, probabilities, out=low)  # it may exceed it by a rounding
        np.maximum(high, probabilities, out=high)
        return bounds

    def variance(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the variance of the linear model's log-odds.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
            Respondents' rows, as `drugpred.codebook` describes them.

        Returns
        -------
        ndarray of shape (n, 108)
        """
        columns = design_matrix(rows)
        squares = (columns[:, FIRST] * columns[:, SECOND]) @ self._table
        variances: NDArray[np.float64] = np.maximum(squares - _LEAST, 0.0) / _SCALE
        return variances

    def support(self, rows: NDArray[np.float64]) -> Support:
        """Return the support of each person.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
            Respondents' rows, as `drugpred.codebook` describes them.
        """
        columns = design_matrix(rows)
        forms = columns.dot(self._forms).reshape(-1, 2, N_COLUMNS)
        leverage, distance = np.matmul(forms, columns[:, :, np.newaxis]).reshape(-1, 2).T
        similar = np.reciprocal(leverage)
        percentile = self._percentiles.searchsorted(similar, "right")
        level = self._level.take(percentile)
        level[distance > self._distance] = _TWO
        return Support(np.rint(similar).astype(np.intp), percentile, level)
