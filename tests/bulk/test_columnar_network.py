"""The columnar network compared with the predictor."""

import numpy as np
import pytest

from drugpred.bulk.columnar_network import _BLOCK, ColumnarNetwork
from drugpred.codebook import DRUGS, WINDOWS
from drugpred.data.simulator import Cohort
from drugpred.predictor import N_COLUMNS, Predictor

# Largest difference from the predictor, in single precision and in double: below what the documentation promises.
EXACT = pytest.mark.parametrize(("exact", "tolerance"), [(False, 1e-6), (True, 1e-12)], ids=["single", "exact"])


def columns(rows):
    return np.ascontiguousarray(rows.T)


@EXACT
@pytest.mark.parametrize("window", WINDOWS)
def test_it_predicts_like_the_predictor(people, window, exact, tolerance):
    predictor = Cohort.load().predictor
    expected = predictor.predict_proba(people)[:, :, WINDOWS.index(window)].T
    found = ColumnarNetwork(predictor, DRUGS, window, exact=exact).predict_proba(columns(people))
    assert found.dtype == (np.float64 if exact else np.float32)
    assert np.abs(found - expected).max() < tolerance


@EXACT
@pytest.mark.parametrize("window", WINDOWS)
def test_windows_that_the_network_crosses_are_put_in_order(people, window, exact, tolerance):
    rng = np.random.default_rng(0)
    shapes = ((N_COLUMNS, 5), (5,), (5, 108), (108,), (N_COLUMNS, 108))
    predictor = Predictor(*(rng.normal(size=shape) for shape in shapes))
    expected = predictor.predict_proba(people)[:, :, WINDOWS.index(window)].T
    found = ColumnarNetwork(predictor, DRUGS, window, exact=exact).predict_proba(columns(people))
    assert np.abs(found - expected).max() < tolerance * 2  # its weights are far larger than a trained network's


@EXACT
def test_the_real_model_says_the_same(stored_model, real, exact, tolerance):
    expected = stored_model.predictor.predict_proba(real.X)[:, :, 2].T
    network = ColumnarNetwork(stored_model.predictor, DRUGS, "year", exact=exact)
    assert np.abs(network.predict_proba(columns(real.X)) - expected).max() < tolerance


def test_log_odds_beyond_single_precision_are_a_probability_of_0_or_1(people):
    shapes = ((N_COLUMNS, 5), (5,), (5, 108))
    bias = np.where(np.arange(108) // 6 % 2, 100.0, -100.0)
    predictor = Predictor(*map(np.zeros, shapes), bias, np.zeros((N_COLUMNS, 108)))
    found = ColumnarNetwork(predictor, DRUGS, "day").predict_proba(columns(people))
    assert (found[::2] == 0).all()
    assert (found[1::2] == 1).all()


def test_drugs_come_in_the_order_asked_for(people):
    predictor = Cohort.load().predictor
    found = ColumnarNetwork(predictor, ["lsd", "alcohol"], "year", exact=True).predict_proba(columns(people))
    expected = predictor.predict_proba(people)[:, :, 2].T
    assert np.allclose(found, expected[[DRUGS.index("lsd"), DRUGS.index("alcohol")]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [0, 1, _BLOCK - 1, _BLOCK, _BLOCK + 1, 2 * _BLOCK + 5])
def test_any_number_of_people(people, n):
    predictor = Cohort.load().predictor
    found = ColumnarNetwork(predictor, DRUGS, "ever", exact=True).predict_proba(columns(people[:n]))
    assert found.shape == (18, n)
    assert np.allclose(found, predictor.predict_proba(people[:n])[:, :, 0].T, rtol=0, atol=1e-12)
