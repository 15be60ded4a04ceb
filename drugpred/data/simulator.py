"""The simulated cohort: respondents drawn from parameters that were fitted to the real data.

`cohort.npz` holds the correlation of the twelve inputs, the weights of a network that predicts each drug's last use
from them, and the correlation of the drugs given the inputs. `drugpred.training.fit_simulator` writes it. The shares of
the levels are those of the codebook.

Both correlations belong to a Gaussian copula. Country and ethnicity enter it in the order of their published values,
which were chosen (CatPCA) to be as linear as possible.
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

CHUNK_ROWS: Final = 20_000  # respondents drawn at once, which limits memory to about 50 MB

_complementary_error = np.frompyfunc(math.erfc, 1, 1)  # numpy has none, and scipy would be a dependency for this alone


def cut_points(column: codebook.Category | codebook.Score) -> tuple[NDArray[np.intp], list[float]]:
    """Return a column's levels by rising published value, and the cuts of a normal variable between them."""
    order = np.argsort(column.values)
    shares = np.array(column.counts)[order].cumsum() / sum(column.counts)
    return order, [NormalDist().inv_cdf(share) for share in shares[:-1]]


_CUT_POINTS: Final = [cut_points(column) for column in (*codebook.CATEGORIES, *codebook.SCORES)]


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
        """Read a cohort; by default the one in this package."""
        if path is None:
            with as_file(files("drugpred.data") / "cohort.npz") as default:
                return cls.load(default)
        with np.load(path, allow_pickle=False) as arrays:
            network = dict(arrays)
        return cls(network.pop("input_correlation"), network.pop("drug_correlation"), Predictor(**network))

    def latent(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw normal variables with the correlation of the inputs, shape (n, 12)."""
        return rng.standard_normal((n, len(codebook.INPUTS))) @ self._inputs.T

    def rows(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw respondents' rows, shape (n, 12)."""
        latent = self.latent(n, rng)
        rows = np.empty_like(latent)
        for i, (order, cuts) in enumerate(_CUT_POINTS):
            rows[:, i] = order[np.searchsorted(cuts, latent[:, i])]
        for i, score in enumerate(codebook.SCORES, len(codebook.CATEGORIES)):
            rows[:, i] = np.array(score.values)[rows[:, i].astype(np.intp)]
        return rows

    def last_use(self, rows: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int8]:
        """Draw the class of last use of every drug, shape (n, 18), for given rows."""
        latent = rng.standard_normal((len(rows), len(codebook.DRUGS))) @ self._drugs.T
        # The probability of a higher latent value; the most recent users have the highest.
        above = 0.5 * np.asarray(_complementary_error(latent / math.sqrt(2.0)), np.float64)
        last_use: NDArray[np.int8] = (above[:, :, np.newaxis] < self.predictor.predict_proba(rows)).sum(2, np.int8)
        return last_use

    def draw(self, n: int, seed: int) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int8]]]:
        """Yield n respondents in chunks: rows of shape (m, 12) and classes of last use of shape (m, 18).

        The respondents depend on the seed only: a longer draw starts with the shorter one.
        """
        rng = np.random.default_rng(seed)
        for start in range(0, n, CHUNK_ROWS):
            # The last chunk is drawn in full, or it would differ from the same chunk of a longer draw.
            rows = self.rows(CHUNK_ROWS, rng)
            last_use = self.last_use(rows, rng)
            yield rows[: n - start], last_use[: n - start]
