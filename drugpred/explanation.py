"""Exact Shapley values of the twelve inputs, with numpy alone."""

from __future__ import annotations

from functools import cache, cached_property
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from drugpred import codebook
from drugpred.errors import StoredModelError
from drugpred.predictor import LEVELS, STARTS, design_matrix, reading

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from drugpred.predictor import Predictor

_SHAPE: Final = (len(codebook.DRUGS), len(codebook.WINDOWS))
_N: Final = len(codebook.INPUTS)
_SPLIT: Final = 4
"""Each of the 4096 sets of inputs combines a set of the first four with one of the other eight: a table of 16 x 256,
whose rows are long enough for numpy's full speed."""

_UNITS: Final = 8
"""Hidden units whose tables are computed at once and fit in the processor's cache: two of 262 kB."""

_STEEP: Final = 300.0  # from 354 the exponential function of twice a number overflows

_LARGEST: Final = np.array([1.0] * len(LEVELS) + [max(-score.lowest, score.highest) for score in codebook.SCORES])
"""The largest absolute value of each design column."""


def _subsets(n: int) -> NDArray[np.float64]:
    """Return the members of the 2^n sets of n inputs, shape (n, 2^n)."""
    return (np.arange(2**n) >> np.arange(n)[:, np.newaxis] & 1).astype(np.float64)


_FIRST: Final = _subsets(_SPLIT)
_OTHERS: Final = _subsets(_N - _SPLIT)


def _members() -> NDArray[np.bool_]:
    """Return the members of all sets in the order of their values, shape (4096, 12)."""
    inside: NDArray[np.bool_] = (
        np.vstack([np.repeat(_FIRST, _OTHERS.shape[1], axis=1), np.tile(_OTHERS, _FIRST.shape[1])]).T > 0
    )
    return inside


def _shapley() -> NDArray[np.float64]:
    """Return the map from the values of all sets to the twelve Shapley values, shape (4096, 12)."""
    inside = _members()
    size = inside.sum(axis=1, keepdims=True)
    # The share of all orders in which exactly k given inputs come before another one.
    share = np.array([1 / (_N * comb(_N - 1, k)) for k in range(_N)])
    weights: NDArray[np.float64] = np.where(inside, share[size - 1], -share[np.minimum(size, _N - 1)])
    return weights


_SHAPLEY: Final = _shapley()

PAIRS: Final = tuple(combinations(range(_N), 2))
"""The pairs of inputs, in the order of `Explainer.interactions`."""


@cache
def _interaction() -> NDArray[np.float64]:
    """Return the map from the values of all sets to the 66 interaction indices, shape (4096, 66)."""
    inside = _members()
    both = np.stack([inside[:, [i, j]].sum(axis=1) for i, j in PAIRS], axis=1)
    share = np.array([1 / ((_N - 1) * comb(_N - 2, k)) for k in range(_N - 1)])
    weights: NDArray[np.float64] = np.where(both == 1, -1.0, 1.0) * share[inside.sum(axis=1, keepdims=True) - both]
    return weights


def _terms(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each input's term of the weighted sums, shape (n, 12, m), for weights of shape (38, m)."""
    terms: NDArray[np.float64] = np.add.reduceat(design_matrix(rows)[:, :, np.newaxis] * weights, STARTS, axis=1)
    return terms


class Explainer:
    """Shapley values of a person's log-odds, compared with a background of simulated respondents.

    The value of a set of inputs is the mean log-odds of people who have those inputs of the person and all others of a
    background respondent. The contribution of an input is its Shapley value: its addition to the value of the inputs
    before it, averaged over all orders of the inputs (S. Lundberg and S.-I. Lee, NIPS 2017; the expectations are
    interventional). It is exact: all 4096 sets are evaluated. That is affordable because the argument of a hidden unit
    is a sum over the inputs and its exponential a product.

    Several threads may use it at the same time.

    Parameters
    ----------
    predictor : Predictor
        The predictor to explain.
    background : ndarray of shape (b, 12)
        Rows of respondents, as `drugpred.codebook` describes them.

    Raises
    ------
    StoredModelError
        The background has another shape or is not finite.
    """

    def __init__(self, predictor: Predictor, background: NDArray[np.floating]) -> None:
        rows = np.asarray(background, np.float64)
        if rows.ndim != 2 or rows.shape[1] != _N or not len(rows) or not np.isfinite(rows).all():
            raise StoredModelError(f"expected a background of finite rows, each of {_N} inputs")
        self._inputs, self._outputs, self._direct = predictor.weights()
        hidden, direct = _terms(rows, self._inputs), _terms(rows, self._direct)
        largest = np.maximum.reduceat(np.abs(self._inputs) * _LARGEST[:, np.newaxis], STARTS).sum(axis=0)
        self._is_steep = bool((largest > _STEEP).any())
        self._hidden = hidden
        self._direct_mean = direct.mean(axis=0)
        self._base = np.tanh(hidden.sum(axis=1)).mean(axis=0) @ self._outputs + self._direct_mean.sum(axis=0)

    @cached_property
    def _outside(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The halves of the background, computed at the first use: 4 MB that many servers never need."""
        return self._halves(self._hidden, 1.0 - _FIRST, 1.0 - _OTHERS)

    @classmethod
    def load(cls, path: Path, predictor: Predictor) -> Self:
        """Read a background from an npy file, without running code in it.

        Raises
        ------
        StoredModelError
            The file is missing, damaged, or has other content.
        """
        with reading(path, "background"), path.open("rb") as file:
            return cls(predictor, np.lib.format.read_array(file, allow_pickle=False))

    def explain(self, row: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the base of a person's log-odds and the contribution of each input.

        Parameters
        ----------
        row : ndarray of shape (12,)
            The person's row, as `drugpred.codebook` describes it.

        Returns
        -------
        base : ndarray of shape (18, 6)
            Mean log-odds of the background.
        contributions : ndarray of shape (18, 6, 12)
            Their sum with the base is the log-odds of `Predictor.predict_proba`. That sorts the estimates of the
            windows: if the estimate of another window is in a window's place, that estimate is explained here.
        """
        hidden, direct = (_terms(row[np.newaxis], weights) for weights in (self._inputs, self._direct))
        contributions = self._mapped(hidden, _SHAPLEY).T @ self._outputs + (direct[0] - self._direct_mean)
        order = np.argsort(-(self._base + contributions.sum(axis=0)).reshape(_SHAPE), axis=1, kind="stable")
        return (
            np.take_along_axis(self._base.reshape(_SHAPE), order, axis=1),
            np.take_along_axis(contributions.T.reshape(*_SHAPE, _N), order[:, :, np.newaxis], axis=1),
        )

    def interactions(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the Shapley interaction index of each pair of inputs: M. Grabisch and M. Roubens, 1999.

        It is the effect on the log-odds of both inputs together minus those of each alone, averaged over the sets of
        the other inputs before them.

        Parameters
        ----------
        row : ndarray of shape (12,)
            The person's row, as `drugpred.codebook` describes it.

        Returns
        -------
        ndarray of shape (18, 6, 66)
            Of the estimates before the windows are sorted, by `PAIRS`.
        """
        # The direct connections are additive.
        hidden = _terms(row[np.newaxis], self._inputs)
        interactions: NDArray[np.float64] = self._mapped(hidden, _interaction()).T @ self._outputs
        return interactions.T.reshape(*_SHAPE, -1)

    def _mapped(self, hidden: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a linear map of the values of all sets, shape (units, m), for weights of shape (4096, m)."""
        first, others = (half[0] for half in self._halves(hidden, _FIRST, _OTHERS))
        mapped = np.empty((len(first), weights.shape[1]))
        for start in range(0, len(first), _UNITS):
            units = slice(start, start + _UNITS)
            mapped[units] = self._values(first[units], others[units], units) @ weights
        return mapped

    def _halves(
        self, terms: NDArray[np.float64], first: NDArray[np.float64], others: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the hidden units' sums z over sets of the first inputs and of the others, as exp(2z) and exp(-2z).

        If that might overflow, they are returned as sums. Shapes (n, units, 16) and (n, units, 256).
        """
        a, b = terms[:, :_SPLIT].swapaxes(1, 2) @ first, terms[:, _SPLIT:].swapaxes(1, 2) @ others
        return (a, b) if self._is_steep else (np.exp(2.0 * a), np.exp(-2.0 * b))

    def _values(self, first: NDArray[np.float64], others: NDArray[np.float64], units: slice) -> NDArray[np.float64]:
        """Return the value of every set for some hidden units up to a constant, shape (units, 4096)."""
        total = np.zeros((len(first), first.shape[1], others.shape[1]))
        table = np.empty_like(total)
        all_first, all_others = self._outside
        for outside_first, outside_others in zip(all_first[:, units], all_others[:, units], strict=True):
            if self._is_steep:
                np.add((first + outside_first)[:, :, np.newaxis], (others + outside_others)[:, np.newaxis], out=table)
                total += np.tanh(table, out=table)
            else:
                # tanh(a + b) = 2 exp(2a) / (exp(2a) + exp(-2b)) - 1, so no function is evaluated 4096 times.
                a = (first * outside_first)[:, :, np.newaxis]
                np.add(a, (others * outside_others)[:, np.newaxis], out=table)
                total += np.divide(a, table, out=table)
        total *= (1.0 if self._is_steep else 2.0) / len(all_first)
        return total.reshape(len(first), -1)
