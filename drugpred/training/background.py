"""Choose the simulated respondents with whom explanations compare a person."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred.data.cohort import Cohort
from drugpred.predictor import design_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drugpred.predictor import Predictor

__all__ = ["make_background"]

_SIZE: Final = 28
"""With so many an explanation takes 10 milliseconds, with twice as many 20."""

_SEED: Final = 0
_DRAWN: Final = 20_000
_CANDIDATES: Final = 2_000
_MIXTURES: Final = 12
_SWEEPS: Final = 6
"""Later ones exchange nobody or change next to nothing."""


def make_background(predictor: Predictor) -> bytes:
    """Return the rows of 28 simulated respondents who stand for the cohort, shape (28, 12), in npy format.

    They are to have the mean log-odds of a large draw of the cohort: as they are, and with about half of their inputs
    replaced by those of somebody else, for each of 12 people, which is what an explanation averages. From the first 28
    of the draw on, each in turn is exchanged for the one of 2000 who brings the means nearest, six times over. The same
    predictor gives the same respondents.

    The mean log-odds of a drug and window are off by .017 (root mean square; at most .05), and contributions by .010,
    where those are of .25. Any draw of 28 is off by .2 and .05, and one of about 900 is as near.
    """
    cohort, rng = Cohort.load(), np.random.default_rng(_SEED)
    rows, others = cohort.rows(_DRAWN, rng), cohort.rows(1 + _MIXTURES, rng)
    replaced = rng.random(others.shape) < 0.5
    replaced[0] = False
    off = []
    for other, inputs in zip(others, replaced, strict=True):
        log_odds = _log_odds(predictor, np.where(inputs, other, rows))
        off.append(log_odds[:_CANDIDATES] - log_odds.mean(axis=0))
    buffer = io.BytesIO()
    np.save(buffer, rows[_nearest(np.hstack(off))])
    return buffer.getvalue()


def _log_odds(predictor: Predictor, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    inputs, outputs, direct = predictor.weights()
    columns = design_matrix(rows)
    log_odds: NDArray[np.float64] = np.tanh(columns @ inputs) @ outputs + columns @ direct
    return log_odds


def _nearest(off: NDArray[np.float64]) -> list[int]:
    """Return the candidates of whose deviations, shape (n, m), the sum is nearest to zero."""
    chosen = list(range(_SIZE))
    squares = (off**2).sum(axis=1)
    for _ in range(_SWEEPS):
        for i in range(_SIZE):
            kept = chosen[:i] + chosen[i + 1 :]
            # The squared distance from zero, but for what is the same whoever is taken.
            distances = squares + off @ (2.0 * off[kept].sum(axis=0))
            chosen[i] = int(distances.argmin())
    return chosen
