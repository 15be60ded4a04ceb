"""Layers of a network with logistic outputs, fitted by L-BFGS.

The loss, the start and the steps are those of scikit-learn's MLPClassifier with solver="lbfgs", to which the tests
compare the weights. It takes a fifth of the time: the logarithm of the loss is taken from the probabilities that the
gradient needs, in arrays that are kept.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy.optimize import minimize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_TOLERANCE: Final = 1e-4  # of the gradient


class Layer(NamedTuple):
    """Weights of shape (inputs, outputs) and a bias of shape (outputs,)."""

    weights: Floats
    bias: Floats


def fit_layers(
    X: Floats, targets: NDArray[Any], hidden_units: int | None, penalty: float, iterations: int, seed: int
) -> list[Layer]:
    """Return a tanh layer and a logistic one, or the logistic one alone, that fit binary targets.

    Parameters
    ----------
    X : ndarray of shape (n, inputs)
    targets : ndarray of shape (n, outputs)
        0 or 1.
    hidden_units : int or None
        Units of the tanh layer; None for a linear model of the log-odds.
    penalty : float
        L2 penalty on the weights.
    iterations : int
        The most steps.
    seed : int
        Of the weights at the start, which are uniform with the bounds of X. Glorot and Y. Bengio (AISTATS 2010,
        249-256).
    """
    sizes = [X.shape[1], *([] if hidden_units is None else [hidden_units]), targets.shape[1]]
    rng = np.random.RandomState(seed)
    start = []
    for n_inputs, n_outputs in pairwise(sizes):
        bound = np.sqrt(6 / (n_inputs + n_outputs))
        start += [rng.uniform(-bound, bound, n_inputs * n_outputs), rng.uniform(-bound, bound, n_outputs)]
    loss, options = _loss(X, targets, sizes, penalty), {"maxiter": iterations, "gtol": _TOLERANCE}
    found = minimize(loss, np.concatenate(start), jac=True, method="L-BFGS-B", options=options)
    return _layers(found.x, sizes)


def _layers(values: Floats, sizes: Sequence[int]) -> list[Layer]:
    layers, at = [], 0
    for n_inputs, n_outputs in pairwise(sizes):
        end = at + n_inputs * n_outputs
        layers.append(Layer(values[at:end].reshape(n_inputs, n_outputs), values[end : end + n_outputs]))
        at = end + n_outputs
    return layers


def _loss(
    X: Floats, targets: NDArray[Any], sizes: Sequence[int], penalty: float
) -> Callable[[Floats], tuple[float, Floats]]:
    """Return a function from weights to the mean loss of the rows, with the penalty, and its gradient."""
    n = len(X)
    targets = targets.astype(np.float64)
    others = 1.0 - targets
    log_odds, work = np.empty(targets.shape), np.empty(targets.shape)

    def loss_and_gradient(values: Floats) -> tuple[float, Floats]:
        *first, last = layers = _layers(values, sizes)
        units = np.tanh(X @ first[0].weights + first[0].bias) if first else X
        np.dot(units, last.weights, log_odds)
        np.add(log_odds, last.bias, log_odds)
        # -log p = log(1 + exp(-z)) of a user with log-odds z, and z more of a non-user.
        loss = np.vdot(others, log_odds)
        np.exp(np.negative(log_odds, work), work)
        np.add(work, 1.0, work)
        loss += np.log(work, log_odds).sum()
        np.reciprocal(work, work)
        difference = np.subtract(work, targets, work)
        gradients = [units.T @ difference, difference.sum(0)]
        if first:
            back = difference @ last.weights.T
            back *= 1.0 - units * units
            gradients = [X.T @ back, back.sum(0), *gradients]
        for i, layer in enumerate(layers):
            gradients[2 * i] += penalty * layer.weights
            loss += 0.5 * penalty * np.vdot(layer.weights, layer.weights)
        return float(loss) / n, np.concatenate([gradient.ravel() for gradient in gradients]) / n

    return loss_and_gradient
