"""The predictor's network for many people and one window, column by column."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred import codebook
from drugpred.predictor import LEVELS, STARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drugpred.codebook import Drug, Window
    from drugpred.predictor import Predictor

_BLOCK: Final = 768  # people at a time: their arrays fit in a core's cache, and the matrix product is fastest

_N_CATEGORIES: Final = len(codebook.CATEGORIES)
_N_WINDOWS: Final = len(codebook.WINDOWS)

_STARTS: Final = STARTS[1 : _N_CATEGORIES + 1]  # of the levels of every category but the first one, and the end
_LEVEL_INPUTS: Final = np.delete(
    np.repeat(np.arange(_N_CATEGORIES), [len(category.labels) for category in codebook.CATEGORIES]), _STARTS[:-1]
)
_LEVELS: Final = np.delete(LEVELS, _STARTS[:-1]).astype(np.int8)[:, np.newaxis]
_N_LEVELS: Final = len(_LEVELS)

_SORT: Final = ((0, 5), (1, 3), (2, 4), (1, 2), (3, 4), (0, 3), (2, 5), (0, 1), (2, 3), (4, 5), (1, 2), (3, 4))
"""Comparisons that sort six values (D. E. Knuth, The Art of Computer Programming 3, section 5.3.4)."""


def _comparisons(rank: int) -> list[tuple[int, int, bool, bool]]:
    """Return the comparisons of `_SORT` for one rank: two indices, and whether the lower and the higher is used."""
    needed, comparisons = {rank}, []
    for low, high in reversed(_SORT):
        if {low, high} & needed:
            comparisons.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return comparisons[::-1]


def _without_first_levels(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights, shape (38, m), of 34 design columns: without the first level of all categories but the first.

    The weights of a category's other levels become relative to those of its first level, which are added to all levels
    of the first category, as every row has exactly one of them.
    """
    for start, stop in pairwise(_STARTS):
        first = weights[start].copy()
        weights[start:stop] -= first
        weights[: _STARTS[0]] += first
    return np.delete(weights, _STARTS[:-1], 0)


class ColumnarNetwork:
    """A network with the probabilities of `Predictor.predict_proba` for one window, in a fifth of the time.

    Parameters
    ----------
    predictor : Predictor
    drugs : sequence of str
    window : str
    exact : bool
        Compute in double precision, with probabilities that differ by at most 1e-9, in half the time. In single
        precision they differ by less than 2e-6.
    """

    def __init__(self, predictor: Predictor, drugs: Sequence[Drug], window: Window, *, exact: bool = False) -> None:
        self._type = np.float64 if exact else np.float32
        inputs, outputs, direct = predictor.weights()
        inputs, direct = map(_without_first_levels, (inputs.copy(), direct))
        self._n_hidden = len(outputs)
        self._inputs = np.ascontiguousarray(inputs.T, self._type)
        # One product for both layers; windows outside, so that two of them compare as whole arrays; negated because the
        # logistic function takes -log-odds, which are lowest for the widest window.
        both = -np.concatenate([outputs, direct]).reshape(-1, len(codebook.DRUGS), _N_WINDOWS)
        chosen = both[:, [codebook.DRUGS.index(drug) for drug in drugs]]
        self._outputs = np.ascontiguousarray(chosen.transpose(2, 1, 0), self._type).reshape(-1, len(both))
        self._n_drugs = len(drugs)
        self._rank = codebook.WINDOW_INDEX[window]
        self._comparisons = _comparisons(self._rank)

    def predict_proba(self, values: NDArray[np.float64]) -> NDArray[np.floating]:
        """Return the probability of use of every drug.

        Parameters
        ----------
        values : ndarray of shape (12, n)
            Columns of respondents' rows, as `drugpred.codebook` describes them.

        Returns
        -------
        ndarray of shape (drugs, n)
            Of float32, or of float64 if the network is exact.
        """
        n = values.shape[1]
        result = np.empty((self._n_drugs, n), self._type)
        # The same memory for all blocks: new memory would cost a tenth more time. The last block is as wide as the
        # others, and begins among those people whose results are there already.
        width = min(n, _BLOCK)
        layer = np.empty((self._outputs.shape[1], width), self._type)
        outputs = np.empty((len(self._outputs), width), self._type)
        spare = np.empty((self._n_drugs, width), self._type)
        with np.errstate(over="ignore"):  # of exp in single precision: the probability is then 0
            for start in range(0, n, _BLOCK):
                people = slice(min(start, n - width), min(start, n - width) + width)
                self._block(values[:, people], layer, outputs, spare, result[:, people])
        return result

    def _block(
        self,
        values: NDArray[np.float64],
        layer: NDArray[np.floating],
        outputs: NDArray[np.floating],
        spare: NDArray[np.floating],
        result: NDArray[np.floating],
    ) -> None:
        hidden, design = layer[: self._n_hidden], layer[self._n_hidden :]
        design[:_N_LEVELS] = values[:_N_CATEGORIES].astype(np.int8)[_LEVEL_INPUTS] == _LEVELS
        design[_N_LEVELS:] = values[_N_CATEGORIES:]
        np.tanh(np.dot(self._inputs, design, hidden), hidden)
        by_window = list(np.dot(self._outputs, layer, outputs).reshape(_N_WINDOWS, self._n_drugs, -1))
        for i, j, lower, higher in self._comparisons:
            low, high = by_window[i], by_window[j]
            if lower and higher:
                by_window[i], spare = np.minimum(low, high, out=spare), low
                np.maximum(low, high, out=high)
            elif lower:
                np.minimum(low, high, out=low)
            else:
                np.maximum(low, high, out=high)
        odds = by_window[self._rank]
        np.exp(odds, odds)
        odds += 1.0
        np.reciprocal(odds, result)
