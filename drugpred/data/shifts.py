"""Respondents of a cohort that has moved from the one the model was trained on: what drift is to be found in.

A category's levels are tilted: each respondent is drawn again with a weight of exp(strength z), so that all else goes
with the level as before (older respondents are as the old ones are). z is the level's normal score: the mean of the
cohort's latent normal variable within it, in the order of the published values. A score has strength standard
deviations added, without regard to the other inputs. Drugs are drawn afterwards, given the moved inputs, so what a
profile tells of them stays true; only label noise changes that.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred import codebook
from drugpred.data.cohort import CHUNK, Cohort

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["LABEL_NOISE", "SHIFTS", "STRONGEST", "draw", "mislabel", "shift"]

LABEL_NOISE: Final = "label-noise"

STRONGEST: Final = 1000.0
"""The strongest shift, either way: everybody is at the end of every scale long before."""

_INPUTS: Final = {"older": "age", "impulsive": "impulsivity"} | {name: name for name in codebook.INPUTS}

SHIFTS: Final = (*_INPUTS, LABEL_NOISE)
"""The names of shifts: every input, two that say which way they go, and noise in the drugs."""


def _normal_scores(category: codebook.Category) -> NDArray[np.float64]:
    """Return the mean of a standard normal variable that is cut into levels, for each level."""
    order = np.argsort(category.values)
    shares = np.array(category.counts)[order] / sum(category.counts)
    cuts = [NormalDist().inv_cdf(share) for share in shares.cumsum()[:-1]]
    density = np.array([0.0, *map(NormalDist().pdf, cuts), 0.0])
    scores = np.empty(len(order))
    scores[order] = -np.diff(density) / shares
    return scores


_NORMAL_SCORES: Final = [_normal_scores(category) for category in codebook.CATEGORIES]


def shift(rows: NDArray[np.float64], name: str, strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return as many respondents, one input of whom has moved.

    Parameters
    ----------
    rows : ndarray of shape (n, 12)
        As `drugpred.codebook` describes them.
    name : str
        One of `SHIFTS`, other than label noise.
    strength : float
        In standard deviations: of a category's latent variable, which moves about as far, or of the score. Downwards
        if it is negative: a negative one of "country" is towards the USA, a positive one towards the UK. At most
        `STRONGEST` either way.
    rng : numpy.random.Generator

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rows = Cohort.load().rows(10_000, rng)
    >>> age = codebook.INPUTS.index("age")
    >>> [float(each[:, age].mean().round(1)) for each in (rows, shift(rows, "older", 0.5, rng))]
    [1.3, 2.0]
    """
    place = codebook.INPUTS.index(_INPUTS[name])
    if place < len(codebook.CATEGORIES):
        exponents = strength * _NORMAL_SCORES[place][rows[:, place].astype(np.intp)]
        weights = np.exp(exponents - exponents.max())
        return rows[rng.choice(len(rows), len(rows), p=weights / weights.sum())]
    score = codebook.SCORES[place - len(codebook.CATEGORIES)]
    deviation = math.sqrt(np.cov(score.values, fweights=score.counts))
    moved = rows.copy()
    # To the possible value above or below at random, or a small shift would move nobody on a scale of ten values.
    levels = np.interp(rows[:, place] + strength * deviation, score.values, np.arange(len(score.values)))
    moved[:, place] = np.array(score.values)[(levels + rng.random(len(rows))).astype(np.intp)]
    return moved


def mislabel(last_use: NDArray[np.int8], probability: float, rng: np.random.Generator) -> NDArray[np.int8]:
    """Return classes of last use, each of which is replaced by another one, drawn evenly, with a probability.

    This is symmetric label noise (B. Frenay and M. Verleysen, Classification in the presence of label noise: a survey,
    IEEE TNNLS 25:845, 2014).

    Parameters
    ----------
    last_use : ndarray of shape (n, 18)
    probability : float
        From 0 to 1.
    rng : numpy.random.Generator
    """
    n = len(codebook.LAST_USE)
    others = (last_use + rng.integers(1, n, last_use.shape, np.int8)) % n
    return np.where(rng.random(last_use.shape) < probability, others, last_use).astype(np.int8)


def draw(n: int, seed: int, shifts: Mapping[str, float]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int8]]]:
    """Draw n respondents of the shifted cohort that ships, as `Cohort.draw`; without shifts, the same.

    Parameters
    ----------
    n, seed : int
    shifts : mapping of str to float
        Strengths by names of `SHIFTS`; of label noise, its probability.
    """
    cohort, rng = Cohort.load(), np.random.default_rng(seed)
    for start in range(0, n, CHUNK):
        rows = cohort.rows(CHUNK, rng)
        for name, strength in shifts.items():
            if name != LABEL_NOISE:
                rows = shift(rows, name, strength, rng)
        last_use = cohort.last_use(rows, rng)
        if LABEL_NOISE in shifts:
            last_use = mislabel(last_use, shifts[LABEL_NOISE], rng)
        yield rows[: n - start], last_use[: n - start]
