"""Makes the uncertainty of a model: covariances of a linear model of each output, and the support of the respondents.

The covariance is that of a Laplace approximation: the inverse of the curvature of the penalized log-likelihood, with
weights p (1 - p) of the served probabilities. It holds the error of the sample and, because of the penalty, that of
pulling small groups to the mean.

It is made over simulated rows: from a covariance over the respondents' own rows the sums of every score of a small
group can be computed. The simulated rows have the respondents' shares of each level and their distribution of each
score, and the correlations of the simulated cohort. So no more of the respondents gets into the file than these, which
are on the card too.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from drugpred import codebook
from drugpred.data.simulator import Cohort
from drugpred.model_store import UncertaintyCard
from drugpred.predictor import N_COLUMNS, STARTS, design_matrix
from drugpred.training.estimators import input_mask, trend_columns
from drugpred.uncertainty import (
    CONFIDENCE,
    FIRST,
    MODEL_ERROR,
    N_OUTPUTS,
    SECOND,
    THIN_PERCENTILE,
    UNUSUAL_PERCENTILE,
    VARIANCE_FACTOR,
    Uncertainty,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from drugpred.predictor import Predictor

SIMULATED: Final = 20_000
SEED: Final = 0

_BIAS_PENALTY: Final = 1e-6  # biases have no penalty


class GroupUncertainty(NamedTuple):
    """Intervals and support of a group of simulated people, within a decade."""

    attribute: str
    label: str
    width: float
    """Mean width of the intervals of all drugs."""
    similar: float
    """Median support."""
    thin: float
    unusual: float
    """Shares of these levels of support."""


class Laplace(NamedTuple):
    """The uncertainty of a model."""

    content: bytes
    """The arrays of `Uncertainty`, as npz."""
    card: UncertaintyCard


def simulated_rows(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 20,000 simulated rows with the distribution of each input among the respondents.

    Parameters
    ----------
    X : ndarray of shape (n, 12)
        Rows of the respondents, of which only the distribution of each column is used.

    Returns
    -------
    ndarray of shape (20000, 12)
    """
    latent = Cohort.load().latent(SIMULATED, np.random.default_rng(SEED))
    rows = np.empty_like(latent)
    for i, column in enumerate(X.T):
        # In the order of the cohort's latent variables: by the published values of a category.
        values = column
        if i < len(codebook.CATEGORIES):
            values = np.array(codebook.CATEGORIES[i].values)[column.astype(np.intp)]
        ordered = column[values.argsort(kind="stable")]
        rank = latent[:, i].argsort().argsort()
        rows[:, i] = ordered[(2 * rank + 1) * len(X) // (2 * SIMULATED)]
    return rows


def score_distances(
    rows: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of people's scores, the inverse of their covariance, and each squared distance from the mean.

    Parameters
    ----------
    rows : ndarray of shape (n, 12)

    Returns
    -------
    center : ndarray of shape (7,)
    precision : ndarray of shape (7, 7)
    distances : ndarray of shape (n,)
        P. C. Mahalanobis, 1936.
    """
    scores = rows[:, len(codebook.CATEGORIES) :]
    center: NDArray[np.float64] = scores.mean(axis=0)
    precision: NDArray[np.float64] = np.linalg.inv(np.cov(scores, rowvar=False)).astype(np.float64)
    return center, precision, np.einsum("ij,jk,ik->i", scores - center, precision, scores - center)


def fit(
    predictor: Predictor,
    X: NDArray[np.float64],
    penalty: float,
    leave_out: Collection[str] = (),
    coverage: dict[str, float] | None = None,
) -> Laplace:
    """Return the uncertainty of a model.

    Parameters
    ----------
    predictor : Predictor
        The served network.
    X : ndarray of shape (n, 12)
        Rows of the respondents that it was fitted to, of which only the distribution of each column is used.
    penalty : float
        L2 penalty on the weights of the linear model.
    leave_out : collection of str
        Inputs that the model ignores.
    coverage : dict, optional
        For the card: the coverage that was measured for such a model.
    """
    rows = simulated_rows(X)
    design = design_matrix(rows)
    ages = np.arange(N_COLUMNS) < STARTS[1]
    basis = np.column_stack([ages, trend_columns() * input_mask(leave_out)[:, np.newaxis]])
    columns = design @ basis
    prior = np.diag([_BIAS_PENALTY, *[penalty] * (basis.shape[1] - 1)])
    probabilities = predictor.predict_proba(rows).reshape(-1, N_OUTPUTS)
    weights = probabilities * (1.0 - probabilities) * (len(X) / SIMULATED)

    def inverse(weight: NDArray[np.float64]) -> NDArray[np.float64]:
        curvature = (columns.T * weight) @ columns + prior
        covariance: NDArray[np.float64] = basis @ np.linalg.solve(curvature, basis.T)
        return covariance

    with threadpool_limits(1):
        covariances = np.array([inverse(weight) for weight in weights.T])
        # As of a linear regression, whose observations have the variance 1.
        leverage = basis @ np.linalg.solve(
            columns.T @ columns * (len(X) / SIMULATED) + np.diag([_BIAS_PENALTY, *[1.0] * (basis.shape[1] - 1)]),
            basis.T,
        )
    center, precision, distances = score_distances(rows)
    similar = 1.0 / np.einsum("ij,jk,ik->i", design, leverage, design)
    figures = {
        "leverage": leverage,
        "percentiles": np.percentile(similar, np.arange(1, 100)),
        "center": center,
        "precision": precision,
        "distance": np.percentile(distances, 100 - UNUSUAL_PERCENTILE),
    }
    deviations, correlations = _compressed(covariances)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        deviations=deviations,
        correlations=correlations,
        **{name: np.asarray(figure, np.float32) for name, figure in figures.items()},  # type: ignore[arg-type]
    )
    uncertainty = Uncertainty.read(io.BytesIO(buffer.getvalue()))
    support = uncertainty.support(rows)
    shares = np.bincount(support.level, minlength=len(codebook.SUPPORT_LEVELS)) / SIMULATED
    card = UncertaintyCard(
        confidence=CONFIDENCE,
        variance_factor=VARIANCE_FACTOR,
        model_error=MODEL_ERROR,
        penalty=penalty,
        simulated=SIMULATED,
        seed=SEED,
        thin_percentile=THIN_PERCENTILE,
        unusual_percentile=UNUSUAL_PERCENTILE,
        median_similar=int(np.median(support.similar)),
        support_shares=dict(zip(codebook.SUPPORT_LEVELS, shares.tolist(), strict=True)),
        coverage=coverage,
    )
    return Laplace(buffer.getvalue(), card)


def by_group(
    uncertainty: Uncertainty, X: NDArray[np.float64], predict: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> list[GroupUncertainty]:
    """Return the intervals and the support of all, and of each level of each category.

    They are those of the simulated rows, so even a level of one respondent has figures.

    Parameters
    ----------
    uncertainty : Uncertainty
    X : ndarray of shape (n, 12)
        Rows of the respondents.
    predict : callable
        Maps rows to probabilities of shape (n, 18, 6).
    """
    rows = simulated_rows(X)
    low, high = uncertainty.intervals(rows, predict(rows))[..., codebook.DECADE]
    widths, support = (high - low).mean(axis=1), uncertainty.support(rows)
    groups = [("all", "all", np.ones(len(rows), bool))]
    for i, category in enumerate(codebook.CATEGORIES):
        groups += [(category.name, label, rows[:, i] == code) for code, label in enumerate(category.labels)]
    thin, unusual = (support.level == codebook.SUPPORT_LEVELS.index(level) for level in ("thin", "unusual"))
    return [
        GroupUncertainty(
            attribute,
            label,
            float(widths[members].mean()),
            float(np.median(support.similar[members])),
            float(thin[members].mean()),
            float(unusual[members].mean()),
        )
        for attribute, label, members in groups
        if members.any()
    ]


def _compressed(covariances: NDArray[np.float64]) -> tuple[NDArray[np.float16], NDArray[np.int8]]:
    """Return covariances of shape (108, 38, 38) as deviations and correlations, in a tenth of the size."""
    deviations = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    differ = FIRST != SECOND
    first, second = FIRST[differ], SECOND[differ]
    # A left-out input has no variance.
    scales = np.maximum(deviations[:, first] * deviations[:, second], np.finfo(np.float64).tiny)
    correlations = covariances[:, first, second] / scales
    return deviations.astype(np.float16), np.rint(127.0 * correlations.clip(-1.0, 1.0)).astype(np.int8)
