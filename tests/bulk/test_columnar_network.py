"""The columnar network compared with the predictor."""

import numpy as np
import pytest

from drugpred.bulk.columnar_network import ColumnarNetwork
from drugpred.codebook import DRUGS, WINDOWS
from drugpred.data.simulator import Cohort
from drugpred.predictor import N_COLUMNS, Predictor


def columns(rows):
    return np.ascontiguousarray(rows.T)


@pytest.mark.parametrize("window", WINDOWS)
def test_it_predicts_like_the_predictor(people, window):
    predictor = Cohort.load().predictor
    expected = predictor.predict_proba(people)[:, :, WINDOWS.index(window)].T
    assert np.abs(ColumnarNetwork(predictor, DRUGS, window).predict_proba(columns(people)) - expected).max() < 1e-12


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_that_the_network_crosses_are_put_in_order(people, window):
    rng = np.random.default_rng(0)
    shapes = ((N_COLUMNS, 5), (5,), (5, 108), (108,), (N_COLUMNS, 108))
    predictor = Predictor(*(rng.normal(size=shape) for shape in shapes))
    expected = predictor.predict_proba(people)[:, :, WINDOWS.index(window)].T
    assert np.abs(ColumnarNetwork(predictor, DRUGS, window).predict_proba(columns(people)) - expected).max() < 1e-12


def test_the_real_model_says_the_same(stored_model, real):
    expected = stored_model.predictor.predict_proba(real.X)[:, :, 2].T
    network = ColumnarNetwork(stored_model.predictor, DRUGS, "year")
    assert np.abs(network.predict_proba(columns(real.X)) - expected).max() < 1e-9


def test_drugs_come_in_the_order_asked_for(people):
    predictor = Cohort.load().predictor
    found = ColumnarNetwork(predictor, ["lsd", "alcohol"], "year").predict_proba(columns(people))
    expected = predictor.predict_proba(people)[:, :, 2].T
    assert np.allclose(found, expected[[DRUGS.index("lsd"), DRUGS.index("alcohol")]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025])
def test_any_number_of_people(people, n):
    predictor = Cohort.load().predictor
    found = ColumnarNetwork(predictor, DRUGS, "ever").predict_proba(columns(people[:n]))
    assert found.shape == (18, n)
    assert np.allclose(found, predictor.predict_proba(people[:n])[:, :, 0].T, rtol=0, atol=1e-12)
