"""Fitting layers: the weights are those of scikit-learn."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from drugpred.predictor import design_matrix
from drugpred.training.estimators import cumulative_targets
from drugpred.training.layers import fit_layers


@pytest.mark.filterwarnings("ignore", category=ConvergenceWarning)
@pytest.mark.parametrize(("hidden", "penalty", "n"), [(5, 25.0, 1885), (None, 2.0, 1885), (20, 1.0, 200)])
@pytest.mark.parametrize("seed", [1, 42])
def test_the_weights_are_those_of_scikit_learn(real, hidden, penalty, n, seed):
    X, targets = design_matrix(real.X[:n]), cumulative_targets(real.last_use[:n]).reshape(n, -1)
    layers = fit_layers(X, targets, hidden, penalty, 30, seed)
    expected = MLPClassifier(
        () if hidden is None else (hidden,),
        activation="tanh",
        solver="lbfgs",
        alpha=penalty,
        max_iter=30,
        random_state=seed,
    ).fit(X, targets.astype(np.int8))
    assert [layer.weights.shape for layer in layers] == [weights.shape for weights in expected.coefs_]
    for layer, weights, bias in zip(layers, expected.coefs_, expected.intercepts_, strict=True):
        assert layer.weights == pytest.approx(weights, abs=1e-5)
        assert layer.bias == pytest.approx(bias, abs=1e-5)


def test_a_drug_that_all_or_none_used_has_finite_weights():
    X = np.random.default_rng(0).normal(size=(50, 3))
    targets = np.repeat([[0, 1]], 50, axis=0)
    (layer,) = fit_layers(X, targets, None, 1e-3, 500, 1)
    assert np.isfinite(layer.weights).all()
    assert layer.bias[0] < -5 < 5 < layer.bias[1]
