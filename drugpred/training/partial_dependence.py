"""Partial dependence of the predicted probability of use within a decade on each input.

It is the mean probability of all respondents with one input set to the same value (J. H. Friedman, Annals of Statistics
29 (2001), 1189-1232). It describes the model, not the causes of use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from drugpred import codebook

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_LEVEL_COUNT: Final = 30  # smaller levels are left out: the model has learned little about them

_MAX_ROWS: Final = 2000
_QUANTILES: Final = np.linspace(0.05, 0.95, 10)


class Effect(NamedTuple):
    """Partial dependence on one input."""

    name: str
    labels: tuple[str, ...]  # of a category's levels; empty for a score
    values: Floats
    """The codes of the levels, or values of the score from the 5th to the 95th percentile; shape (values,)."""
    probabilities: Floats  # mean probability of use, shape (values, 18)

    @property
    def change(self) -> Floats:
        """Difference between the ends of a score, or between the lowest and the highest level; shape (18,)."""
        p = self.probabilities
        change: Floats = p.max(axis=0) - p.min(axis=0) if self.labels else p[-1] - p[0]
        return change


def compute(predict: Callable[[Floats], Floats], X: Floats) -> list[Effect]:
    """Return the partial dependence on every input, in the order of `codebook.INPUTS`.

    Parameters
    ----------
    predict : callable
        Maps rows to probabilities of shape (n, 18, 6).
    X : ndarray of shape (n, 12)
        At most 2000 rows are used.
    """
    rows = X[:: -(-len(X) // _MAX_ROWS)]
    effects = []
    for i, name in enumerate(codebook.INPUTS):
        labels: tuple[str, ...] = ()
        if i < len(codebook.CATEGORIES):
            counts = np.bincount(X[:, i].astype(np.intp), minlength=len(codebook.CATEGORIES[i].labels))
            values = np.flatnonzero(counts >= MIN_LEVEL_COUNT).astype(np.float64)
            labels = tuple(codebook.CATEGORIES[i].labels[int(code)] for code in values)
        else:
            values = np.unique(np.quantile(X[:, i], _QUANTILES))
        same = np.tile(rows, (len(values), 1))
        same[:, i] = np.repeat(values, len(rows))
        probabilities = predict(same)[:, :, codebook.DECADE].reshape(len(values), len(rows), -1).mean(axis=1)
        effects.append(Effect(name, labels, values, probabilities))
    return effects
