"""Partial dependence of a model whose effects are known."""

import numpy as np
import pytest

from drugpred import codebook
from drugpred.data.respondents import simulate
from drugpred.training.partial_dependence import MIN_LEVEL_COUNT, compute

AGE, OPENNESS = (codebook.INPUTS.index(name) for name in ("age", "openness"))


@pytest.fixture(scope="module")
def X():
    return simulate(1000, 3).X


def predict(rows):
    """Return probabilities that rise with openness for the first drug, fall with age for the second."""
    result = np.full((len(rows), 18, 6), 0.5)
    result[:, 0] = (0.5 + 0.1 * rows[:, OPENNESS])[:, np.newaxis]
    result[:, 1] = (0.9 - 0.1 * rows[:, AGE] + 0.01 * rows[:, OPENNESS])[:, np.newaxis]
    return result


@pytest.fixture(scope="module")
def effects(X):
    return {effect.name: effect for effect in compute(predict, X)}


def test_every_input_has_an_effect_in_order(effects):
    assert tuple(effects) == codebook.INPUTS


def test_a_score_is_followed_between_its_outer_percentiles(effects, X):
    openness = effects["openness"]
    ends = np.quantile(X[:, OPENNESS], [0.05, 0.95])
    assert openness.labels == ()
    assert openness.values[[0, -1]] == pytest.approx(ends)
    assert openness.probabilities[:, 0] == pytest.approx(0.5 + 0.1 * openness.values)
    assert openness.change[0] == pytest.approx(0.1 * np.ptp(ends))


def test_the_other_inputs_keep_their_values(effects, X):
    age = effects["age"]
    expected = 0.9 - 0.1 * age.values + 0.01 * X[:, OPENNESS].mean()
    assert age.probabilities[:, 1] == pytest.approx(expected)
    assert age.change[1] == pytest.approx(0.1 * np.ptp(age.values))


def test_an_input_without_effect_is_flat(effects):
    assert effects["gender"].change == pytest.approx(np.zeros(18))
    assert effects["openness"].change[2:] == pytest.approx(np.zeros(16))


def test_a_falling_score_changes_below_zero(X):
    falling = {effect.name: effect for effect in compute(lambda rows: 1 - predict(rows), X)}
    assert falling["openness"].change[0] < 0
    assert falling["age"].change[1] > 0  # levels have no direction


def test_levels_of_few_respondents_are_left_out(effects, X):
    for category in codebook.CATEGORIES:
        codes = X[:, codebook.INPUTS.index(category.name)]
        often = [label for label, code in category.codes.items() if (codes == code).sum() >= MIN_LEVEL_COUNT]
        assert list(effects[category.name].labels) == [label for label in category.labels if label in often]
    assert len(effects["country"].labels) < len(codebook.COUNTRY.labels)


def test_of_many_rows_some_are_enough(X):
    seen = []
    compute(lambda rows: seen.append(len(rows)) or predict(rows), np.tile(X, (9, 1)))
    assert max(seen) <= 10 * 2000
