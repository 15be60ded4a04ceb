"""The predictor's network for many people and one window, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred import codebook
from drugpred.predictor import LEVELS, N_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drugpred.codebook import Drug, Window
    from drugpred.predictor import Predictor

_BLOCK: Final = 1024  # people at a time, whose arrays fit in a core's cache, which doubles the speed

_LEVEL_INPUTS: Final = np.repeat(
    np.arange(len(codebook.CATEGORIES)), [len(category.labels) for category in codebook.CATEGORIES]
)
_N_WINDOWS: Final = len(codebook.WINDOWS)

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


class ColumnarNetwork:
    """A network with the probabilities of `Predictor.predict_proba` for one window, to 1e-9, in half the time.

    Parameters
    ----------
    predictor : Predictor
    drugs : sequence of str
    window : str
    """

    def __init__(self, predictor: Predictor, drugs: Sequence[Drug], window: Window) -> None:
        inputs, outputs, direct = predictor.weights()
        self._n_hidden = len(outputs)
        self._inputs = np.ascontiguousarray(inputs.T)
        # One product for both layers; windows outside, so that two of them compare as whole arrays; negated because the
        # logistic function takes -log-odds, which are lowest for the widest window.
        both = -np.concatenate([outputs, direct]).reshape(-1, len(codebook.DRUGS), _N_WINDOWS)
        chosen = both[:, [codebook.DRUGS.index(drug) for drug in drugs]]
        self._outputs = np.ascontiguousarray(chosen.transpose(2, 1, 0)).reshape(-1, len(both))
        self._n_drugs = len(drugs)
        self._rank = codebook.WINDOW_INDEX[window]
        self._comparisons = _comparisons(self._rank)

    def predict_proba(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of use of every drug.

        Parameters
        ----------
        values : ndarray of shape (12, n)
            Columns of respondents' rows, as `drugpred.codebook` describes them.

        Returns
        -------
        ndarray of shape (drugs, n)
        """
        n = values.shape[1]
        result = np.empty((self._n_drugs, n))
        for start in range(0, n, _BLOCK):
            self._block(values[:, start : start + _BLOCK], result[:, start : start + _BLOCK])
        return result

    def _block(self, values: NDArray[np.float64], result: NDArray[np.float64]) -> None:
        layer = np.empty((self._n_hidden + N_COLUMNS, values.shape[1]))
        hidden, design = layer[: self._n_hidden], layer[self._n_hidden :]
        np.equal(values[_LEVEL_INPUTS], LEVELS[:, np.newaxis], design[: len(LEVELS)], casting="unsafe")
        design[len(LEVELS) :] = values[len(codebook.CATEGORIES) :]
        np.tanh(np.dot(self._inputs, design, hidden), hidden)
        by_window = list(self._outputs.dot(layer).reshape(_N_WINDOWS, self._n_drugs, -1))
        spare = np.empty_like(by_window[0])
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
