"""The simulated respondents of explanations represent the cohort that they are drawn from."""

import io

import numpy as np
import pytest

from drugpred.codebook import CATEGORIES, SCORES
from drugpred.data.simulator import Cohort
from drugpred.explanation import Explainer
from drugpred.training.shap_background import make_background


@pytest.fixture(scope="module")
def content(stored_model):
    return make_background(stored_model.predictor)


@pytest.fixture(scope="module")
def rows(content):
    return np.load(io.BytesIO(content), allow_pickle=False)


@pytest.fixture(scope="module")
def drawn():
    """Ordinary draws of as many respondents as are chosen, and a large one."""
    cohort, rng = Cohort.load(), np.random.default_rng(1)
    return [cohort.rows(28, rng) for _ in range(30)], cohort.rows(50_000, rng)


def mean_log_odds(predictor, rows):
    probabilities = predictor.predict_proba(rows)
    return (np.log(probabilities) - np.log1p(-probabilities)).mean(axis=0)


def distance(array, other):
    return np.sqrt(np.mean((array - other) ** 2))


def test_they_are_the_same_for_the_same_model(stored_model, content):
    # Training chose them in another process.
    assert (stored_model.path / "background.npy").read_bytes() == content


def test_they_are_respondents_as_the_codebook_has_them(rows):
    assert (rows.shape, rows.dtype) == ((28, 12), np.float64)
    for i, category in enumerate(CATEGORIES):
        assert set(rows[:, i]) <= set(range(len(category.labels)))
    for i, score in enumerate(SCORES, len(CATEGORIES)):
        assert set(rows[:, i]) <= set(score.values)


def test_none_is_a_real_respondent(content, records_in):
    assert records_in(content) == []


def test_their_mean_log_odds_are_those_of_a_large_draw(stored_model, rows, drawn):
    some, many = drawn
    target = mean_log_odds(stored_model.predictor, many)
    off = distance(mean_log_odds(stored_model.predictor, rows), target)
    assert off < 0.05
    assert off < min(distance(mean_log_odds(stored_model.predictor, draw), target) for draw in some)


def test_contributions_are_those_that_a_large_draw_gives(stored_model, rows, drawn):
    some, many = drawn
    people = many[:6]

    def contributions(background):
        explainer = Explainer(stored_model.predictor, background)
        return np.array([explainer.explain(person)[1] for person in people])

    target = contributions(many[-500:])
    off = distance(contributions(rows), target)
    assert off < 0.5 * np.median([distance(contributions(draw), target) for draw in some[:10]])
    assert off < 0.15 * np.sqrt(np.mean(target**2))
