"""Chooses the background of Shapley values: simulated respondents that a person is compared with."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred.data.simulator import Cohort
from drugpred.predictor import design_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drugpred.predictor import Predictor

_SIZE: Final = 28  # an explanation takes 10 ms, and 20 ms with twice as many

_SEED: Final = 0
_DRAWN: Final = 20_000
_CANDIDATES: Final = 2_000
_MIXTURES: Final = 12
_SWEEPS: Final = 6  # more sweeps change almost nothing


def make_background(predictor: Predictor) -> bytes:
    """Return the rows of 28 simulated respondents who represent the cohort, shape (28, 12), in npy format.

    Their mean log-odds approximate those of a large draw, both unchanged and with about half of their inputs replaced
    by those of another person, for each of 12 people: an explanation takes such means. Starting with the first 28 of
    the draw, each one in turn is exchanged for the candidate, of 2000, that brings the means nearest; this is repeated
    six times. The result depends on the predictor only.

    The error of the mean log-odds of a drug and window is .017 (root mean square; at most .05), and that of
    contributions .010, whose own size is .25. A random draw of 28 has .2 and .05; a random draw needs about 900 to be
    as near.
    """
    cohort, rng = Cohort.load(), np.random.default_rng(_SEED)
    rows, people = cohort.rows(_DRAWN, rng), cohort.rows(1 + _MIXTURES, rng)
    replaced = rng.random(people.shape) < 0.5
    replaced[0] = False
    inputs, outputs, direct = predictor.weights()
    deviations = []
    for person, is_replaced in zip(people, replaced, strict=True):
        columns = design_matrix(np.where(is_replaced, person, rows))
        log_odds = np.tanh(columns @ inputs) @ outputs + columns @ direct
        deviations.append(log_odds[:_CANDIDATES] - log_odds.mean(axis=0))
    buffer = io.BytesIO()
    np.save(buffer, rows[_choose(np.hstack(deviations))])
    return buffer.getvalue()


def _choose(deviations: NDArray[np.float64]) -> list[int]:
    """Return the candidates whose sum of deviations, shape (n, m), is nearest to zero."""
    chosen = list(range(_SIZE))
    squares = (deviations**2).sum(axis=1)
    for _ in range(_SWEEPS):
        for i in range(_SIZE):
            others = chosen[:i] + chosen[i + 1 :]
            # The squared distance from zero, up to a constant.
            distances = squares + deviations @ (2.0 * deviations[others].sum(axis=0))
            chosen[i] = int(distances.argmin())
    return chosen
