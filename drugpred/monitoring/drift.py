"""Drift: whether the profiles of now are distributed as the respondents trained on.

The population stability index of counts c of now and r of the reference over B bins is sum (a - e) ln(a / e) over their
shares a and e. Without drift it is distributed as (1/N + 1/M) times chi-squared with B - 1 degrees of freedom, for N
profiles and M respondents (B. Yurdakul, Statistical properties of population stability index, dissertation, Western
Michigan University, 2018), so what is drift depends on how many there are, and not on a rule of thumb.

Half a count is added to every bin on both sides. A share of 0 needs some such treatment; with this one the index keeps
its distribution in bins that few are in, where the usual least share of .0001 raises up to 13 false alarms in 100
instead of one.
"""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import BaseModel

from drugpred.codebook import DRUGS, INPUTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike
    from prometheus_client import Metric

    from drugpred.model_store import Bins, Card

MIN_PROFILES: Final = 100  # profiles from which on drift is told

_FALSE_ALARM: Final = 0.01 / (len(INPUTS) + len(DRUGS))
"""Of one variable, so that all together raise one in 100 looks at most (Bonferroni)."""

_ADDED: Final = 0.5

MIN_SCORE_INDEX: Final = 0.05
"""The least index that is drift of a drug's probabilities, however many profiles there are.

The reference is of models that were fitted on parts of the respondents, and another one, fitted on all, serves. That
alone made up to .031 among seven models by configs/train.yaml, of chocolate, whose probabilities lie close together.
"""


class Shift(BaseModel):
    """How far one variable has moved."""

    n: int
    """Profiles counted."""
    psi: float | None
    """Population stability index; None without a profile."""
    threshold: float | None
    """What it exceeds by chance in one look of 3000, of scores at least .05."""
    drifted: bool | None
    """None where there were too few profiles to tell."""


class Drift(BaseModel):
    """How far the profiles have moved from the respondents trained on, and the probabilities with them."""

    drifted: bool | None
    """Whether any variable has; by chance in one look of 100. None where there were too few profiles to tell."""
    fewest: int = MIN_PROFILES
    """Profiles from which on it is told."""
    inputs: dict[str, Shift]
    scores: dict[str, Shift]
    """By drug, of the probability of use within a decade."""


def population_stability_index(counts: ArrayLike, reference: ArrayLike) -> float:
    """Return the population stability index of counts by bin, see above.

    Parameters
    ----------
    counts, reference : array-like of shape (bins,)

    Examples
    --------
    >>> round(stability_index([30, 70], [500, 500]), 4)
    0.1659
    """
    added = np.array([counts, reference], np.float64) + _ADDED
    now, then = added / added.sum(axis=1, keepdims=True)
    return float(((now - then) * np.log(now / then)).sum())


@cache
def quantile(bins: int) -> float:
    """Return what a variable's index exceeds by chance in one look of 3000, in units of 1/N + 1/M.

    That is the quantile of chi-squared with ``bins - 1`` degrees of freedom.
    """
    low, high = 0.0, 1.0
    while _survival(high, bins - 1) > _FALSE_ALARM:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _survival(middle, bins - 1) > _FALSE_ALARM else (low, middle)
    return high


def _survival(x: float, dof: int) -> float:
    """Return how likely chi-squared exceeds x.

    M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 1964, 26.4.4 and 26.4.5.
    """
    half, odd = x / 2, dof % 2
    terms = (math.pow(half, k + odd / 2) / math.gamma(k + odd / 2 + 1) for k in range(dof // 2))
    return math.exp(-half) * sum(terms) + odd * math.erfc(math.sqrt(half))


def measure(card: Card, inputs: Mapping[str, Sequence[float]], scores: Mapping[str, Sequence[float]]) -> Drift:
    """Return the drift of profiles that were counted by the bins of a card.

    Parameters
    ----------
    card : Card
    inputs : mapping of str to sequence of float
        Of each input, the count of each bin.
    scores : mapping of str to sequence of float
        Of each drug, likewise.
    """
    respondents = card.data.respondents
    shifts = [
        {name: _shift(counts[name], bins, respondents, least) for name, bins in by_name.items()}
        for counts, by_name, least in ((inputs, card.input_bins, 0.0), (scores, card.probability_bins, MIN_SCORE_INDEX))
    ]
    said = {shift.drifted for by_name in shifts for shift in by_name.values()}
    return Drift(drifted=True if True in said else False if False in said else None, inputs=shifts[0], scores=shifts[1])


def is_new(count: int, n: int, respondents: int) -> bool:
    """Return whether something is so frequent that it is no chance that no respondent trained on has it.

    By Fisher's exact test at the level of one variable: all who have it are among the n people with a probability of
    C(n, count) / C(n + respondents, count).

    Parameters
    ----------
    count : int
        Of the people who have it: an input that is missing, or one that no respondent could have.
    n : int
        People, of whom under 100 say nothing.
    respondents : int

    Examples
    --------
    >>> is_new(7, 1000, 1885), is_new(8, 1000, 1885)
    (False, True)
    """
    others = n + respondents
    ways = [math.lgamma(a + 1) - math.lgamma(a - count + 1) for a in (n, others)]
    return n >= MIN_PROFILES and ways[0] - ways[1] < math.log(_FALSE_ALARM)


def _shift(counts: Sequence[float], bins: Bins, respondents: int, least: float) -> Shift:
    n = round(sum(counts))
    if not n:
        return Shift(n=0, psi=None, threshold=None, drifted=None)
    psi = population_stability_index(counts, respondents * np.array(bins.shares))
    threshold = max(least, (1 / n + 1 / respondents) * quantile(len(bins.labels)))
    return Shift(n=n, psi=psi, threshold=threshold, drifted=psi > threshold if n >= MIN_PROFILES else None)


def live_drift(card: Card) -> Drift:
    """Return the drift of all profiles answered, perhaps but for those of the last second.

    It takes some milliseconds: call it in a thread.
    """
    inputs, scores = _totals({"drugpred_input": ("feature", "bin"), "drugpred_score": ("drug", "bin")})
    return measure(card, _by_bin(inputs, card.input_bins), _by_bin(scores, card.probability_bins))


def _by_bin(totals: Mapping[tuple[str, ...], float], bins: Mapping[str, Bins]) -> dict[str, list[float]]:
    return {name: [totals.get((name, label), 0.0) for label in each.labels] for name, each in bins.items()}


def _totals(labels: Mapping[str, tuple[str, ...]]) -> list[dict[tuple[str, ...], float]]:
    """Return the values of counters, given with the names of their labels, by the labels."""
    samples = {metric.name: metric.samples for metric in _collected()}
    return [
        {
            tuple(sample.labels[of] for of in names): sample.value
            for sample in samples.get(counter, ())
            if sample.name == f"{counter}_total"
        }
        for counter, names in labels.items()
    ]


def _collected() -> Iterable[Metric]:
    from prometheus_client import REGISTRY  # a command that measures files needs neither
    from prometheus_client.multiprocess import MultiProcessCollector

    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:  # there is but this process
        return REGISTRY.collect()
    merged: Iterable[Metric] = MultiProcessCollector.merge(  # type: ignore[no-untyped-call]
        [str(path) for path in Path(folder).glob("counter_*.db")]
    )
    return merged
