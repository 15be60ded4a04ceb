"""Expected performance, against simulated truth and an independent computation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_score, recall_score

from drugpred.monitoring.expectation import expect


def expected(p, high):
    return expect(high.sum(), p[high].sum(), (~high).sum(), p[~high].sum())


@given(st.lists(st.tuples(st.floats(0.001, 0.999), st.booleans()), min_size=1, max_size=40))
def test_it_is_what_weighted_measures_give(said):
    """Each person is there twice: as a user of weight p and as none of weight 1 - p."""
    p, high = np.array([p for p, _ in said]), np.array([high for _, high in said])
    truth, predicted = np.repeat([1, 0], len(p)), np.tile(high, 2).astype(int)
    weights = np.concatenate([p, 1 - p])
    found = expected(p, high)
    assert found.n == len(p)
    assert found.accuracy == pytest.approx(accuracy_score(truth, predicted, sample_weight=weights))
    assert found.sensitivity == pytest.approx(recall_score(truth, predicted, sample_weight=weights))
    assert found.specificity == pytest.approx(recall_score(truth, predicted, sample_weight=weights, pos_label=0))
    if high.any():
        assert found.precision == pytest.approx(precision_score(truth, predicted, sample_weight=weights))
    else:
        assert found.precision is None


def test_while_probabilities_are_calibrated_it_is_unbiased():
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(2000):
        p = rng.beta(0.8, 1.6, 400)
        high = p >= 0.3
        users = rng.random(400) < p
        found = expected(p, high)
        true = users[high].mean(), high[users].mean(), (~high)[~users].mean(), (high == users).mean()
        errors.append(np.subtract(true, (found.precision, found.sensitivity, found.specificity, found.accuracy)))
    mean, error = np.mean(errors, axis=0), np.std(errors, axis=0) / np.sqrt(len(errors))
    assert (np.abs(mean) < 4 * error).all()
    assert (np.abs(mean) < 0.002).all()


def test_where_they_are_not_it_is_off():
    rng = np.random.default_rng(3)
    p = rng.beta(0.8, 1.6, 100_000)
    high, users = p >= 0.3, rng.random(100_000) < p**2
    assert expected(p, high).precision - users[high].mean() > 0.1


def test_of_nothing_nothing_is_expected():
    found = expect(0, 0, 0, 0)
    assert found.model_dump() == {"n": 0, "precision": None, "sensitivity": None, "specificity": None, "accuracy": None}
    assert expect(0, 0, 10, 1).precision is None
    assert expect(0, 0, 10, 1).sensitivity == 0
