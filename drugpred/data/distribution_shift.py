"""Simulated respondents whose distribution has shifted from the training data, to test drift detection.

For a category, respondents are resampled with weights exp(strength z), so that the other inputs remain consistent with
the level. z is the level's normal score: the mean of the cohort's latent normal variable within the level, in the order
of the published values. For a score, strength standard deviations are added, regardless of the other inputs. Drugs are
drawn given the shifted inputs, so P(drug | profile) is unchanged; only label noise changes it.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred import codebook
from drugpred.data.simulator import CHUNK_ROWS, Cohort, cut_points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

LABEL_NOISE: Final = "label-noise"

MAX_STRENGTH: Final = 1000.0  # in either direction; well below it everybody is at the end of every scale

_INPUTS: Final = {"older": "age", "impulsive": "impulsivity"} | {name: name for name in codebook.INPUTS}

SHIFTS: Final = (*_INPUTS, LABEL_NOISE)
"""Names of shifts: every input, two that name a direction, and label noise."""


def _normal_scores(category: codebook.Category) -> NDArray[np.float64]:
    """Return the mean of a standard normal variable that is cut into levels, for each level."""
    order, cuts = cut_points(category)
    density = np.array([0.0, *map(NormalDist().pdf, cuts), 0.0])
    scores = np.empty(len(order))
    scores[order] = -np.diff(density)
    return scores / (np.array(category.counts) / sum(category.counts))


_NORMAL_SCORES: Final = [_normal_scores(category) for category in codebook.CATEGORIES]


def shift(rows: NDArray[np.float64], name: str, strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the same number of respondents with one input shifted.

    Parameters
    ----------
    rows : ndarray of shape (n, 12)
        Respondents as `drugpred.codebook` describes them.
    name : str
        One of `SHIFTS`, other than label noise.
    strength : float
        In standard deviations of the score, or of a category's latent variable, which shifts by about as much. A
        negative strength shifts downwards: "country" towards the USA, and towards the UK if positive. At most
        `MAX_STRENGTH` in either direction.
    rng : numpy.random.Generator

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rows = Cohort.load().rows(10_000, rng)
    >>> age = codebook.INPUTS.index("age")
    >>> [float(r[:, age].mean().round(1)) for r in (rows, shift(rows, "older", 0.5, rng))]
    [1.3, 2.0]
    """
    column = codebook.INPUTS.index(_INPUTS[name])
    if column < len(codebook.CATEGORIES):
        exponents = strength * _NORMAL_SCORES[column][rows[:, column].astype(np.intp)]
        weights = np.exp(exponents - exponents.max())
        return rows[rng.choice(len(rows), len(rows), p=weights / weights.sum())]
    score = codebook.SCORES[column - len(codebook.CATEGORIES)]
    deviation = math.sqrt(np.cov(score.values, fweights=score.counts))
    shifted = rows.copy()
    # Round at random, or a small shift would move nobody on a scale of ten values.
    levels = np.interp(rows[:, column] + strength * deviation, score.values, np.arange(len(score.values)))
    shifted[:, column] = np.array(score.values)[(levels + rng.random(len(rows))).astype(np.intp)]
    return shifted


def mislabel(last_use: NDArray[np.int8], probability: float, rng: np.random.Generator) -> NDArray[np.int8]:
    """Return classes of last use, each replaced with a given probability by another one, drawn uniformly.

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
    """Yield n respondents of the default cohort with shifts, otherwise like `Cohort.draw`.

    Parameters
    ----------
    n, seed : int
    shifts : mapping of str to float
        Strengths by names of `SHIFTS`; for label noise, its probability.
    """
    cohort, rng = Cohort.load(), np.random.default_rng(seed)
    for start in range(0, n, CHUNK_ROWS):
        rows = cohort.rows(CHUNK_ROWS, rng)
        for name, strength in shifts.items():
            if name != LABEL_NOISE:
                rows = shift(rows, name, strength, rng)
        last_use = cohort.last_use(rows, rng)
        if LABEL_NOISE in shifts:
            last_use = mislabel(last_use, shifts[LABEL_NOISE], rng)
        yield rows[: n - start], last_use[: n - start]
