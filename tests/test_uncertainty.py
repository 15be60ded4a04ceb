"""Intervals and support, for any model and person."""

import io
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drugpred.codebook import CATEGORIES, COUNTRY, DECADE, SCORES, SUPPORT_LEVELS
from drugpred.errors import StoredModelError
from drugpred.predictor import design_matrix
from drugpred.uncertainty import FIRST, MODEL_ERROR, SECOND, VARIANCE_FACTOR, Uncertainty

PEOPLE = st.lists(
    st.tuples(
        *(st.integers(0, len(category.labels) - 1) for category in CATEGORIES),
        *(st.floats(*score.bounds()) for score in SCORES),
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def uncertainty(stored_model):
    return stored_model.uncertainty


def arrays(stored_model):
    with np.load(stored_model.path / "uncertainty.npz") as stored:
        return dict(stored)


@given(people=PEOPLE, seed=st.integers(0, 2**32 - 1), steepness=st.sampled_from([0.1, 1.0, 10.0, 100.0]))
def test_bounds_are_around_the_probability_and_never_rise_along_the_windows(uncertainty, people, seed, steepness):
    rows = np.array(people, np.float64)
    log_odds = -np.sort(-np.random.default_rng(seed).normal(0.0, steepness, (len(rows), 18, 6)))
    probabilities = 1.0 / (1.0 + np.exp(-log_odds))
    low, high = uncertainty.intervals(rows, probabilities)
    assert (low >= 0.0).all()
    assert (low <= probabilities).all()
    assert (probabilities <= high).all()
    assert (high <= 1.0).all()
    assert (np.diff(low) <= 0.0).all()
    assert (np.diff(high) <= 0.0).all()


@given(people=PEOPLE)
def test_bounds_hold_for_the_stored_model(stored_model, uncertainty, people):
    rows = np.array(people, np.float64)
    probabilities = stored_model.predictor.predict_proba(rows)
    low, high = uncertainty.intervals(rows, probabilities)
    assert (low < probabilities).all()
    assert (probabilities < high).all()
    assert (np.diff(low) <= 0.0).all()
    assert (np.diff(high) <= 0.0).all()


def test_bounds_are_the_stated_ones(stored_model, uncertainty, real):
    rows = real.X[::40]
    probabilities = stored_model.predictor.predict_proba(rows)
    log_odds = np.log(probabilities / (1.0 - probabilities))
    error = 1.6448536 * np.sqrt(VARIANCE_FACTOR * uncertainty.variance(rows) + MODEL_ERROR**2).reshape(log_odds.shape)
    expected = [-np.sort(-1.0 / (1.0 + np.exp(-(log_odds + sign * error)))) for sign in (-1, 1)]
    np.testing.assert_allclose(uncertainty.intervals(rows, probabilities), expected, rtol=1e-5)


def test_a_persons_bounds_do_not_depend_on_the_others(stored_model, uncertainty, real):
    probabilities = stored_model.predictor.predict_proba(real.X)
    together = uncertainty.intervals(real.X, probabilities)
    for i in range(0, len(real.X), 60):
        alone = uncertainty.intervals(real.X[[i]], probabilities[[i]])
        assert np.array_equal(alone[:, 0], together[:, i])


def test_support_is_one_over_the_leverage(stored_model, uncertainty, real):
    columns, form = design_matrix(real.X), arrays(stored_model)["leverage"]
    expected = 1.0 / np.einsum("ij,jk,ik->i", columns, form, columns)
    np.testing.assert_allclose(uncertainty.support(real.X).similar, expected, atol=0.51)


def test_percentiles_and_levels_are_those_of_the_respondents(stored_model, uncertainty, real):
    _, percentile, level = uncertainty.support(real.X)
    assert abs(np.mean(percentile < 50) - 0.5) < 0.05
    assert (percentile.min(), percentile.max()) == (0, 99)
    shares = np.bincount(level, minlength=3) / len(level)
    known = list(stored_model.card.uncertainty.support_shares.values())
    assert list(stored_model.card.uncertainty.support_shares) == list(SUPPORT_LEVELS)
    np.testing.assert_allclose(shares, known, atol=0.03)
    assert 0.9 < known[0] < 0.96


def test_scores_far_out_are_unusual_though_every_level_is_usual(uncertainty, real):
    usual = np.median(real.X[:, len(CATEGORIES) :], axis=0)
    person = [1, 0, 6, 5, 6, *usual]
    far = [1, 0, 6, 5, 6, *(score.bounds()[i % 2] for i, score in enumerate(SCORES))]
    near, out = (SUPPORT_LEVELS[level] for level in uncertainty.support(np.array([person, far])).level)
    assert (near, out) == ("usual", "unusual")


def test_a_rare_level_has_little_support_and_wide_intervals(stored_model, uncertainty, real):
    probabilities = stored_model.predictor.predict_proba(real.X)
    low, high = uncertainty.intervals(real.X, probabilities)[..., DECADE]
    support = uncertainty.support(real.X)
    of = {label: real.X[:, CATEGORIES.index(COUNTRY)] == code for code, label in enumerate(COUNTRY.labels)}
    widths = {label: (high - low)[members].mean() for label, members in of.items()}
    assert widths["New Zealand"] >= 2.0 * widths["UK"]
    assert np.median(support.similar[of["New Zealand"]]) < 15
    assert np.median(support.similar[of["UK"]]) > 60
    assert (support.level[of["New Zealand"]] == SUPPORT_LEVELS.index("unusual")).all()


def test_only_pairs_that_a_person_can_have_are_used():
    assert len(FIRST) == len(SECOND) == 647


def test_it_is_read_without_running_code(stored_model, tmp_path):
    path = tmp_path / "uncertainty.npz"
    with path.open("wb") as file:
        np.savez(file, **arrays(stored_model) | {"distance": np.array(print, object)})
    with pytest.raises(StoredModelError, match="is not a readable uncertainty"):
        Uncertainty.load(path)


@pytest.mark.parametrize("name", ["deviations", "correlations", "leverage", "percentiles", "center", "precision"])
def test_arrays_of_another_shape_are_refused(stored_model, name):
    content = arrays(stored_model)
    with pytest.raises(StoredModelError, match="expected finite arrays"):
        Uncertainty(**content | {name: content[name][1:]})


def test_numbers_that_are_not_finite_are_refused(stored_model):
    content = arrays(stored_model)
    with pytest.raises(StoredModelError, match="expected finite arrays"):
        Uncertainty(**content | {"distance": np.array(np.nan)})


def test_it_can_be_sent_to_another_process(stored_model, uncertainty, real):
    again = pickle.loads(pickle.dumps(uncertainty))
    probabilities = stored_model.predictor.predict_proba(real.X[:5])
    assert np.array_equal(again.intervals(real.X[:5], probabilities), uncertainty.intervals(real.X[:5], probabilities))


@settings(max_examples=20)
@given(people=PEOPLE)
def test_support_is_possible_for_everybody(uncertainty, people):
    similar, percentile, level = uncertainty.support(np.array(people, np.float64))
    assert (similar >= 0).all()
    assert ((percentile >= 0) & (percentile <= 99)).all()
    assert ((level >= 0) & (level <= 2)).all()


def test_the_file_is_small(stored_model):
    content = (stored_model.path / "uncertainty.npz").read_bytes()
    assert len(content) <= 60_000
    assert isinstance(Uncertainty.read(io.BytesIO(content)), Uncertainty)
