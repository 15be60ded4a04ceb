"""Fits the simulated cohort to respondents: `python -m drugpred.training.fit_simulator PATH` writes data/cohort.npz."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drugpred import codebook
from drugpred.data.respondents import read
from drugpred.data.simulator import Cohort
from drugpred.predictor import Predictor
from drugpred.training.estimators import CumulativeNetwork, cumulative_targets, make_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_REPLICATES = 60
_STEPS = 8


def fit(X: NDArray[np.float64], last_use: NDArray[np.integer[Any]], estimator: CumulativeNetwork) -> bytes:
    """Return the parameters of a cohort fitted to respondents, as npz.

    Parameters
    ----------
    X : ndarray of shape (n, 12)
        Rows of the respondents.
    last_use : ndarray of shape (n, 18)
        Classes of last use.
    estimator : CumulativeNetwork
        Predicts the last use of the drugs from the inputs.
    """
    network = make_pipeline(estimator).fit(X, last_use)[-1].arrays()
    predictor = Predictor(**network)
    many = np.tile(X, (_REPLICATES, 1))

    def simulated_inputs(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
        cohort = Cohort(correlation, np.eye(len(codebook.DRUGS)), predictor)
        return input_scores(cohort.rows(len(many), np.random.default_rng(0)))

    def simulated_drugs(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
        cohort = Cohort(np.eye(len(codebook.INPUTS)), correlation, predictor)
        return _drug_scores(cohort.last_use(many, np.random.default_rng(0)), predictor.predict_proba(many))

    correlations = {
        "input_correlation": _match(input_scores(X), simulated_inputs),
        "drug_correlation": _match(_drug_scores(last_use, predictor.predict_proba(X)), simulated_drugs),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: array.astype(np.float32) for name, array in (network | correlations).items()})
    return buffer.getvalue()


def input_scores(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return every input as a number: categories as their published value."""
    scores = X.copy()
    for i, category in enumerate(codebook.CATEGORIES):
        scores[:, i] = np.array(category.values)[X[:, i].astype(np.intp)]
    return scores


def _drug_scores(last_use: NDArray[np.integer[Any]], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the residuals of use within a decade, the window whose correlations between drugs are published."""
    decade = codebook.DECADE
    return cumulative_targets(last_use)[:, :, decade] - probabilities[:, :, decade]


def _match(
    real: NDArray[np.float64], simulate: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the correlation of the copula for which simulated scores correlate like the real ones.

    Cutting into levels weakens the correlation, so that of the copula is raised step by step until they agree.
    """
    target = np.asarray(np.corrcoef(real, rowvar=False))
    correlation = target
    for _ in range(_STEPS):
        correlation = _nearest_correlation(correlation + target - np.corrcoef(simulate(correlation), rowvar=False))
    return correlation


def _nearest_correlation(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a nearby correlation matrix, with positive eigenvalues and ones on the diagonal."""
    values, vectors = np.linalg.eigh(matrix)
    positive = (vectors * np.maximum(values, 1e-3)) @ vectors.T
    scale = np.sqrt(np.diag(positive))
    nearest: NDArray[np.float64] = positive / np.outer(scale, scale)
    return nearest


if __name__ == "__main__":
    respondents = read(Path(sys.argv[1]))
    target = Path(__file__).parents[1] / "data" / "cohort.npz"
    # Without the forest, which is distilled with respondents of the cohort.
    network = CumulativeNetwork(hidden_units=16, linear_drugs=(), forest_share=0.0)
    target.write_bytes(fit(respondents.X, respondents.last_use, network))
