"""The simulated cohort: respondents drawn from parameters that were fitted on the real data.

What ships is `cohort.npz`, numbers alone: the correlation of the twelve inputs, the weights of a network that gives
each drug's last use from them, and the correlation of the drugs beyond what the inputs explain. The levels' shares
are those of the codebook. `drugpred.training.cohort` fits it; numpy alone draws from it.

Both correlations are those of a Gaussian copula. Country and ethnicity enter it in the order of their published
values, which were chosen (CatPCA) to make them as linear as they can be.
"""

from __future__ import annotations

import math
from importlib.resources import as_file, files
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from drugpred import codebook
from drugpred.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["CHUNK", "Cohort"]

CHUNK: Final = 20_000
"""Respondents drawn at once, which bounds memory to some 50 MB."""

_VALUES: Final = [column.values for column in (*codebook.CATEGORIES, *codebook.SCORES)]
_COUNTS: Final = [column.counts for column in (*codebook.CATEGORIES, *codebook.SCORES)]
_ORDERS: Final = [np.argsort(values) for values in _VALUES]
"""The levels of each input from its lowest published value to its highest."""

_complementary_error = np.frompyfunc(math.erfc, 1, 1)  # numpy has none, and scipy would come for it alone


def _cuts(counts: tuple[int, ...], order: NDArray[np.intp]) -> list[float]:
    shares = np.array(counts)[order].cumsum() / sum(counts)
    return [NormalDist().inv_cdf(share) for share in shares[:-1]]


_CUTS: Final = [_cuts(counts, order) for counts, order in zip(_COUNTS, _ORDERS, strict=True)]


class Cohort:
    """A population to draw respondents from.

    Parameters
    ----------
    inputs : ndarray of shape (12, 12)
        Correlation of the inputs.
    drugs : ndarray of shape (18, 18)
        Correlation of the drugs' last use, given the inputs.
    predictor : Predictor
        Distribution of each drug's last use, given the inputs.
    """

    def __init__(self, inputs: NDArray[np.floating], drugs: NDArray[np.floating], predictor: Predictor) -> None:
        self._inputs = np.linalg.cholesky(np.asarray(inputs, np.float64))
        self._drugs = np.linalg.cholesky(np.asarray(drugs, np.float64))
        self.predictor = predictor

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a cohort; without a path, the one that ships."""
        if path is None:
            with as_file(files("drugpred.data") / "cohort.npz") as shipped:
                return cls.load(shipped)
        with np.load(path, allow_pickle=False) as arrays:
            named = dict(arrays)
        return cls(named.pop("input_correlation"), named.pop("drug_correlation"), Predictor(**named))

    def rows(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw respondents' rows, shape (n, 12)."""
        latent = rng.standard_normal((n, len(codebook.INPUTS))) @ self._inputs.T
        rows = np.empty_like(latent)
        for i, (cuts, order) in enumerate(zip(_CUTS, _ORDERS, strict=True)):
            levels = order[np.searchsorted(cuts, latent[:, i])]
            rows[:, i] = levels if i < len(codebook.CATEGORIES) else np.array(_VALUES[i])[levels]
        return rows

    def last_use(self, rows: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int8]:
        """Draw the class of last use of every drug, shape (n, 18), for given rows."""
        latent = rng.standard_normal((len(rows), len(codebook.DRUGS))) @ self._drugs.T
        # The share of people with a higher latent value; the most recent users have the highest.
        above = 0.5 * np.asarray(_complementary_error(latent / math.sqrt(2.0)), np.float64)
        last_use: NDArray[np.int8] = (above[:, :, np.newaxis] < self.predictor.predict_proba(rows)).sum(2, np.int8)
        return last_use

    def draw(self, n: int, seed: int) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int8]]]:
        """Draw n respondents in chunks: rows of shape (m, 12) and classes of last use of shape (m, 18).

        The same seed gives the same respondents, and more of them begin with the same.
        """
        rng = np.random.default_rng(seed)
        for start in range(0, n, CHUNK):
            # The last chunk is drawn whole, or a cohort would end differently from a longer one.
            rows = self.rows(CHUNK, rng)
            last_use = self.last_use(rows, rng)
            yield rows[: n - start], last_use[: n - start]
