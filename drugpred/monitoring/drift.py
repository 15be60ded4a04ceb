"""Drift: whether the distribution of the profiles differs from that of the training data.

The population stability index (PSI) of the present counts c and the reference counts r over B bins is
sum (a - e) ln(a / e) over their shares a and e. Without drift it is distributed as (1/N + 1/M) times chi-squared with
B - 1 degrees of freedom, for N profiles and M respondents (B. Yurdakul, Statistical properties of population stability
index, dissertation, Western Michigan University, 2018). So the threshold of drift depends on N and M, and is not a rule
of thumb.

Half a count is added to every bin on both sides. A share of 0 needs such a treatment; with this one the index keeps its
distribution in sparse bins, where the usual minimum share of .0001 raises up to 13 false alarms in 100 instead of one.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred.codebook import DRUGS, INPUTS
from drugpred.monitoring.counters import totals
from drugpred.schemas import MIN_DRIFT_PROFILES, Drift, Shift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from drugpred.model_store import Bins, Card

_FALSE_ALARM: Final = 0.01 / (len(INPUTS) + len(DRUGS))
"""Level of one variable, so that all together raise a false alarm in at most 1 of 100 checks (Bonferroni)."""

_ADDED: Final = 0.5

MIN_SCORE_INDEX: Final = 0.05
"""Lowest index that counts as drift of a drug's probabilities, for any number of profiles.

The reference probabilities come from models that were fitted on parts of the respondents; the served model was fitted
on all. That alone caused an index of up to .031 (chocolate, whose probabilities are close together) among seven models
of configs/train.yaml.
"""


def population_stability_index(counts: ArrayLike, reference: ArrayLike) -> float:
    """Return the population stability index of counts by bin.

    Parameters
    ----------
    counts, reference : array-like of shape (bins,)

    Examples
    --------
    >>> round(population_stability_index([30, 70], [500, 500]), 4)
    0.1659
    """
    added = np.array([counts, reference], np.float64) + _ADDED
    now, then = added / added.sum(axis=1, keepdims=True)
    return float(((now - then) * np.log(now / then)).sum())


@cache
def quantile(bins: int) -> float:
    """Return the threshold of a variable's index in units of 1/N + 1/M, exceeded by chance in 1 of 3000 checks.

    It is the quantile of chi-squared with ``bins - 1`` degrees of freedom.
    """
    low, high = 0.0, 1.0
    while _survival(high, bins - 1) > _FALSE_ALARM:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _survival(middle, bins - 1) > _FALSE_ALARM else (low, middle)
    return high


def _survival(x: float, dof: int) -> float:
    """Return the probability that chi-squared exceeds x.

    M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 1964, 26.4.4 and 26.4.5.
    """
    half, odd = x / 2, dof % 2
    terms = (math.pow(half, k + odd / 2) / math.gamma(k + odd / 2 + 1) for k in range(dof // 2))
    return math.exp(-half) * sum(terms) + odd * math.erfc(math.sqrt(half))


def measure(card: Card, inputs: Mapping[str, Sequence[float]], scores: Mapping[str, Sequence[float]]) -> Drift:
    """Return the drift of profiles that are counted in the bins of a card.

    Parameters
    ----------
    card : Card
    inputs : mapping of str to sequence of float
        Counts of each input's bins.
    scores : mapping of str to sequence of float
        Counts of each drug's bins.
    """
    respondents = card.data.respondents
    shifts = [
        {name: _shift(counts[name], bins, respondents, least) for name, bins in by_name.items()}
        for counts, by_name, least in ((inputs, card.input_bins, 0.0), (scores, card.probability_bins, MIN_SCORE_INDEX))
    ]
    said = {shift.drifted for by_name in shifts for shift in by_name.values()}
    return Drift(drifted=True if True in said else False if False in said else None, inputs=shifts[0], scores=shifts[1])


def is_new(count: int, n: int, respondents: int) -> bool:
    """Return whether a value that no respondent has is too frequent to be chance.

    Fisher's exact test at the level of one variable: the probability that all who have the value are among the n people
    is C(n, count) / C(n + respondents, count).

    Parameters
    ----------
    count : int
        People with the value: a missing input, or one that no respondent could have.
    n : int
        People; the answer is False below 100.
    respondents : int

    Examples
    --------
    >>> is_new(7, 1000, 1885), is_new(8, 1000, 1885)
    (False, True)
    """
    others = n + respondents
    ways = [math.lgamma(a + 1) - math.lgamma(a - count + 1) for a in (n, others)]
    return n >= MIN_DRIFT_PROFILES and ways[0] - ways[1] < math.log(_FALSE_ALARM)


def _shift(counts: Sequence[float], bins: Bins, respondents: int, least: float) -> Shift:
    n = round(sum(counts))
    if not n:
        return Shift(n=0, psi=None, threshold=None, drifted=None)
    psi = population_stability_index(counts, respondents * np.array(bins.shares))
    threshold = max(least, (1 / n + 1 / respondents) * quantile(len(bins.labels)))
    return Shift(n=n, psi=psi, threshold=threshold, drifted=psi > threshold if n >= MIN_DRIFT_PROFILES else None)


def live_drift(card: Card) -> Drift:
    """Return the drift of all profiles that were answered; those of the last second may be missing.

    It takes some milliseconds: call it in a thread.
    """
    inputs, scores = totals({"drugpred_input": ("feature", "bin"), "drugpred_score": ("drug", "bin")})
    return measure(card, _by_bin(inputs, card.input_bins), _by_bin(scores, card.probability_bins))


def _by_bin(totals: Mapping[tuple[str, ...], float], bins: Mapping[str, Bins]) -> dict[str, list[float]]:
    return {name: [totals.get((name, label), 0.0) for label in each.labels] for name, each in bins.items()}
