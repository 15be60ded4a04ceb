"""Contributions of the inputs for many simulated people: which inputs matter, how, and which matter together."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from drugpred import codebook
from drugpred.data.simulator import Cohort
from drugpred.explanation import PAIRS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drugpred.explanation import Explainer

    Floats = NDArray[np.float64]

PEOPLE: Final = 100
MAX_PAIRS: Final = 10
DRAWN: Final = "low", "middle", "high", "plain"
"""Kinds of dots: thirds of an input's values, and values without an order."""

_SEED: Final = 1  # other people than those of the background
_UNORDERED: Final = frozenset({"gender", "country", "ethnicity"})
_WIDTH: Final = 210.0  # of the dots, with the middle at 0
_STEP: Final = 3.0  # between dots at the same place
_HIGH: Final = 7.0  # the furthest dot from the middle of its row


class Swarm(NamedTuple):
    """The contributions of an input to a drug's log-odds, one dot for each simulated person."""

    name: str
    mean: float
    """Mean absolute contribution."""
    dots: dict[str, str]
    """Points of an SVG path by kind, around the middle of the row."""


class Pair(NamedTuple):
    """Two inputs, and how much they interact."""

    names: tuple[str, str]
    mean: float
    """Mean absolute interaction over people and drugs."""
    drug: str
    """The drug with the highest mean absolute interaction."""
    highest: float


class GlobalExplanation(NamedTuple):
    """The explanation of the model as a whole, for use within a decade, in log-odds."""

    means: Floats
    """Mean absolute contributions, shape (18, 12)."""
    swarms: dict[str, list[Swarm]]
    """By drug, the input with the highest mean first."""
    longest: dict[str, float]
    """By drug, the contribution at the ends of the plot."""
    pairs: list[Pair]
    """Those that interact most."""


def compute(explainer: Explainer) -> GlobalExplanation:
    """Return the explanation over 100 simulated people."""
    rows = Cohort.load().rows(PEOPLE, np.random.default_rng(_SEED))
    contributions = np.array([explainer.explain(row)[1][:, codebook.DECADE] for row in rows])
    means = np.abs(contributions).mean(axis=0)
    kinds = [_kinds(name, rows[:, i]) for i, name in enumerate(codebook.INPUTS)]
    swarms: dict[str, list[Swarm]] = {}
    longest: dict[str, float] = {}
    for i, drug in enumerate(codebook.DRUGS):
        longest[drug] = max(0.1, float(np.ceil(10 * np.abs(contributions[:, i]).max()) / 10))
        swarms[drug] = [
            Swarm(codebook.INPUTS[j], float(means[i, j]), _dots(contributions[:, i, j] / longest[drug], kinds[j]))
            for j in np.argsort(-means[i], kind="stable").tolist()
        ]
    interactions = np.mean([np.abs(explainer.interactions(row)[:, codebook.DECADE]) for row in rows], axis=0)
    return GlobalExplanation(means, swarms, longest, _pairs(interactions))


def _pairs(interactions: Floats) -> list[Pair]:
    means, pairs = interactions.mean(axis=0), []
    for at in np.argsort(-means, kind="stable")[:MAX_PAIRS].tolist():
        drug = int(interactions[:, at].argmax())
        first, second = (codebook.INPUTS[i] for i in PAIRS[at])
        pairs.append(Pair((first, second), float(means[at]), codebook.DRUGS[drug], float(interactions[drug, at])))
    return pairs


def _kinds(name: str, values: Floats) -> list[str]:
    if name in _UNORDERED:
        return [DRAWN[3]] * len(values)
    return [DRAWN[third] for third in np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values).tolist()]


def _dots(shares: Floats, kinds: list[str]) -> dict[str, str]:
    """Return the dots of a row, side by side if they would hide each other."""
    places = np.round(shares * _WIDTH / 2 / _STEP).astype(int)
    offsets = np.zeros(len(places))
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=places.min() - 1)).tolist()
    for start, end in pairwise([*starts, len(order)]):
        n = end - start
        offsets[order[start:end]] = (np.arange(n) - (n - 1) / 2) * min(_STEP, 2 * _HIGH / max(n - 1, 1))
    drawn: dict[str, str] = {}
    for place, offset, kind in zip(places.tolist(), offsets.tolist(), kinds, strict=True):
        drawn[kind] = f"{drawn.get(kind, '')}M{place * _STEP:g} {round(offset, 1):g}h0"
    return drawn
