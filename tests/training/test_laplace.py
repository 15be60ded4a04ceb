"""Covariances: made over simulated rows, of the right size, and without anything of a small group."""

import io
import time

import numpy as np
import pytest

from drugpred.codebook import CATEGORIES, DECADE, ETHNICITY, SCORES, WINDOWS
from drugpred.data.simulator import Cohort
from drugpred.predictor import N_COLUMNS, STARTS, design_matrix
from drugpred.training import laplace
from drugpred.training.estimators import trend_columns
from drugpred.uncertainty import FIRST, SECOND, Uncertainty

N_CATEGORIES = len(CATEGORIES)


@pytest.fixture(scope="module")
def made(stored_model, real):
    return laplace.fit(stored_model.predictor, real.X, 2.0)


def arrays(content):
    with np.load(io.BytesIO(content)) as stored:
        return dict(stored)


def shuffled(X, seed=0):
    """The same respondents in each column, and nobody who was one of them."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.permutation(column) for column in X.T])


def test_training_stores_it_and_the_card_describes_it(stored_model, made):
    assert (stored_model.path / "uncertainty.npz").read_bytes() == made.content
    card = stored_model.card.uncertainty
    assert card == made.card
    assert (card.confidence, card.variance_factor, card.model_error, card.penalty) == (0.9, 1.5, 0.25, 2.0)
    assert card.simulated == 20_000
    assert card.coverage is None  # tests/quick.yaml is not the shipped configuration


def test_it_takes_seconds_and_kilobytes(stored_model, real):
    before = time.process_time()
    content = laplace.fit(stored_model.predictor, real.X, 2.0).content
    assert time.process_time() - before < 5.0
    assert len(content) <= 60_000


def test_simulated_rows_have_the_respondents_distribution_of_each_input(real):
    rows = laplace.simulated_rows(real.X)
    for simulated, column in zip(rows.T, real.X.T, strict=True):
        values, counts = np.unique(column, return_counts=True)
        drawn, n = np.unique(simulated, return_counts=True)
        assert np.array_equal(drawn, values)
        np.testing.assert_allclose(n / len(rows), counts / len(column), atol=1e-4)


def test_simulated_rows_have_the_correlations_of_the_cohort(real):
    rows, cohort = laplace.simulated_rows(real.X), Cohort.load().rows(20_000, np.random.default_rng(1))
    scores, expected = (np.corrcoef(x[:, N_CATEGORIES:], rowvar=False) for x in (rows, cohort))
    np.testing.assert_allclose(scores, expected, atol=0.05)


def test_it_depends_on_nothing_but_the_network_and_the_distribution_of_each_input(stored_model, real, made):
    """So nothing else about the respondents can be computed from it, of no group and with no effort."""
    assert laplace.fit(stored_model.predictor, shuffled(real.X), 2.0).content == made.content


def leverage_of(X):
    """The leverage matrix that real rows would give."""
    basis = np.column_stack([np.arange(N_COLUMNS) < STARTS[1], trend_columns()])
    columns = design_matrix(X) @ basis
    penalty = np.diag([1e-6, *[1.0] * (basis.shape[1] - 1)])
    return basis @ np.linalg.inv(columns.T @ columns + penalty) @ basis.T


def test_the_sums_of_a_small_group_cannot_be_recovered(real, made):
    """Sums of the seven scores of the three people of an ethnicity, by an attack that works on real rows."""
    code = ETHNICITY.labels.index("Mixed-Black/Asian")
    members = real.X[:, CATEGORIES.index(ETHNICITY)] == code
    assert members.sum() == 3
    scores = real.X[members][:, N_CATEGORIES:].sum(axis=0)
    attacked = recovered(leverage_of(real.X), code)
    np.testing.assert_allclose(attacked, scores, atol=0.05)
    stolen = recovered(arrays(made.content)["leverage"].astype(np.float64), code)
    # No better than a guess: the sums that three people of the cohort would have.
    assert np.abs(stolen - scores).max() > 1.0
    assert np.sqrt(np.mean((stolen - scores) ** 2)) > 0.5 * np.sqrt(np.mean(scores**2))


def recovered(leverage, code):
    """Return the sums of the scores of a level's people, given a leverage matrix and all that the card shows.

    On the subspace of the design that people can have, the matrix is the inverse of the products of their columns and a
    known penalty.
    """
    basis = np.column_stack([np.arange(N_COLUMNS) < STARTS[1], trend_columns()])
    penalty = np.diag([1e-6, *[1.0] * (basis.shape[1] - 1)])
    # Weights in the design are basis w; of all w that give the same, the prior prefers the shortest.
    prior = np.linalg.pinv(basis @ np.linalg.inv(penalty) @ basis.T, rcond=1e-12)
    products = np.linalg.pinv(leverage, rcond=1e-6) - prior
    return products[STARTS[CATEGORIES.index(ETHNICITY)] + code, -len(SCORES) :]


def test_four_times_the_respondents_divide_the_variance_by_about_four(stored_model, real, made):
    many = Uncertainty.read(io.BytesIO(laplace.fit(stored_model.predictor, np.tile(real.X, (4, 1)), 2.0).content))
    ratio = Uncertainty.read(io.BytesIO(made.content)).variance(real.X) / many.variance(real.X)
    assert 3.0 <= np.median(ratio) <= 5.0
    assert np.quantile(ratio, 0.01) > 1.5


def test_correlations_of_one_byte_change_deviations_little(stored_model, real):
    """Against the covariances themselves, which would take a megabyte."""
    content = laplace.fit(stored_model.predictor, real.X, 2.0).content
    variance = Uncertainty.read(io.BytesIO(content)).variance(real.X[::20])
    rows = laplace.simulated_rows(real.X)
    basis = np.column_stack([np.arange(N_COLUMNS) < STARTS[1], trend_columns()])
    columns, people = design_matrix(rows) @ basis, design_matrix(real.X[::20]) @ basis
    p = stored_model.predictor.predict_proba(rows).reshape(len(rows), -1)
    penalty = np.diag([1e-6, *[2.0] * (basis.shape[1] - 1)])
    for j in range(0, p.shape[1], 17):
        weight = p[:, j] * (1.0 - p[:, j]) * len(real.X) / len(rows)
        covariance = np.linalg.inv((columns.T * weight) @ columns + penalty)
        expected = np.sqrt(np.einsum("ij,jk,ik->i", people, covariance, people))
        error = np.sqrt(variance[:, j]) / expected - 1.0
        assert np.sqrt(np.mean(error**2)) < 0.02
        assert np.abs(error).max() < 0.12


def test_a_left_out_input_changes_no_interval(stored_model, real):
    content = laplace.fit(stored_model.predictor, real.X, 2.0, ["gender", "openness"]).content
    uncertainty = Uncertainty.read(io.BytesIO(content))
    rows = real.X[:50].copy()
    before = uncertainty.variance(rows)
    rows[:, 1] = 1.0 - rows[:, 1]
    rows[:, -5] = 0.0
    np.testing.assert_allclose(uncertainty.variance(rows), before, atol=1e-9)


def test_a_level_without_respondents_is_unusual(stored_model, real):
    without = real.X[real.X[:, 3] != 2]
    uncertainty = Uncertainty.read(io.BytesIO(laplace.fit(stored_model.predictor, without, 2.0).content))
    person = without[:1].copy()
    person[0, 3] = 2
    assert uncertainty.support(person).level.tolist() == [2]
    assert uncertainty.variance(person)[0, DECADE :: len(WINDOWS)].mean() > 0.3


def test_pairs_have_no_two_levels_of_one_category():
    inputs = np.searchsorted(STARTS, np.arange(N_COLUMNS), "right")
    assert all(i == j or inputs[i] != inputs[j] for i, j in zip(FIRST, SECOND, strict=True))
