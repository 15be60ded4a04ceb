"""The estimators: scikit-learn pipelines from respondents' rows to probabilities of use."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits

from drugpred import codebook

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TRUSTED", "CumulativeNetwork", "cumulative_targets", "make_pipeline"]


TRUSTED: Final = ["drugpred.training.estimators.CumulativeNetwork"]
"""The types besides scikit-learn's own that `skops.io.load` must be told to trust in a stored pipeline."""


_ARRAYS: Final = ("inputs", "bias", "outputs", "output_bias", "direct")


def cumulative_targets(last_use: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Return whether each drug was used within each window.

    Parameters
    ----------
    last_use : ndarray of shape (n, 18)
        Class of last use, 0 (never) to 6 (last day).

    Returns
    -------
    ndarray of shape (n, 18, 6)
    """
    return last_use[:, :, np.newaxis] > np.arange(len(codebook.WINDOWS))


def _trends() -> NDArray[np.float64]:
    """Return the map from the design to the columns that the networks are fitted on, shape (38, 41).

    Age and education enter by their levels and by their published value, gender by its value only: a penalty on
    both lets neighbouring levels share what they have in common. Being linear, the map is folded into the weights.
    """
    blocks = []
    for category in codebook.CATEGORIES:
        levels, values = np.eye(len(category.labels)), np.array([category.values]).T
        if category is codebook.GENDER:
            blocks.append(np.sign(values))
        elif category in (codebook.AGE, codebook.EDUCATION):
            blocks.append(np.hstack([levels, values]))
        else:
            blocks.append(levels)
    blocks.append(np.eye(len(codebook.SCORES)))
    result = np.zeros((sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)))
    row = column = 0
    for block in blocks:
        result[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return result


class CumulativeNetwork(BaseEstimator):
    """Networks of one tanh layer and a linear model, each of all 18 drugs and 6 windows, averaged in log-odds.

    The linear model keeps what is plainly additive, such as the part of age and country in cannabis, from the
    networks' penalty. Averaging log-odds makes several small networks one wider network, so what is stored and served
    is a single one with direct connections. Its weights are rounded to single precision, which halves them at a cost
    far below their sampling error.

    Parameters
    ----------
    hidden_units : int
        Units of each network.
    penalty : float
        L2 penalty on the networks' weights.
    networks : int
        Networks to average, which differ in their random start.
    linear_share : float
        Share of the linear model in the average, from 0 to 1.
    linear_penalty : float
        L2 penalty on the linear model's weights.
    iterations : int
        Most iterations of L-BFGS. Stopping before convergence does no harm and saves time.
    random_state : int
        Seed of the first network; the others count on from it.

    Attributes
    ----------
    inputs_, bias_, outputs_, output_bias_, direct_ : ndarray of float32
        The arrays of `drugpred.predictor.Predictor`.
    """

    def __init__(
        self,
        hidden_units: int = 16,
        penalty: float = 25.0,
        networks: int = 3,
        linear_share: float = 0.3,
        linear_penalty: float = 2.0,
        iterations: int = 100,
        random_state: int = 42,
    ) -> None:
        self.hidden_units = hidden_units
        self.penalty = penalty
        self.networks = networks
        self.linear_share = linear_share
        self.linear_penalty = linear_penalty
        self.iterations = iterations
        self.random_state = random_state

    def fit(self, X: NDArray[np.float64], y: NDArray[np.integer[Any]]) -> Self:
        """Fit to design columns of shape (n, 38) and classes of last use of shape (n, 18)."""
        trends = _trends()
        columns, targets = X @ trends, cumulative_targets(y).reshape(len(y), -1).astype(np.int8)
        layers = [
            self._fit_one(columns, targets, (self.hidden_units,), self.penalty, self.random_state + i)
            for i in range(self.networks)
        ]
        linear = self._fit_one(columns, targets, (), self.linear_penalty, self.random_state)
        share = (1.0 - self.linear_share) / self.networks
        self.inputs_ = trends @ np.hstack([layer.coefs_[0] for layer in layers])
        self.bias_ = np.hstack([layer.intercepts_[0] for layer in layers])
        self.outputs_ = share * np.vstack([layer.coefs_[1] for layer in layers])
        self.output_bias_ = share * np.sum([layer.intercepts_[1] for layer in layers], axis=0)
        self.output_bias_ += self.linear_share * linear.intercepts_[0]
        self.direct_ = self.linear_share * trends @ linear.coefs_[0]
        for name in _ARRAYS:
            setattr(self, f"{name}_", getattr(self, f"{name}_").astype(np.float32))
        return self

    def _fit_one(
        self, X: NDArray[np.float64], targets: NDArray[np.int8], hidden: tuple[int, ...], penalty: float, seed: int
    ) -> MLPClassifier:
        """Fit a network, or without hidden layers a linear model."""
        network = MLPClassifier(
            hidden, activation="tanh", solver="lbfgs", alpha=penalty, max_iter=self.iterations, random_state=seed
        )
        # With more threads BLAS fights over the small products: 20 s in place of 1.7 s.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return network.fit(X, targets)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the fitted weights as `drugpred.predictor.Predictor` takes them."""
        return {name: getattr(self, f"{name}_") for name in _ARRAYS}

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities of use of shape (n, 18, 6), never rising along the windows."""
        inputs, bias, outputs, output_bias, direct = (array.astype(np.float64) for array in self.arrays().values())
        log_odds = np.tanh(X @ inputs + bias) @ outputs + X @ direct + output_bias
        shape = (len(X), len(codebook.DRUGS), len(codebook.WINDOWS))
        ordered: NDArray[np.float64] = -np.sort(-log_odds.reshape(shape), axis=2)
        return 1.0 / (1.0 + np.exp(-ordered))


def make_pipeline(estimator: BaseEstimator) -> Pipeline:
    """Return the pipeline from respondents' rows, shape (n, 12), to what the estimator predicts.

    Its encoder makes the columns of `drugpred.predictor.design` and refuses codes that do not exist.
    """
    categories = [np.arange(len(category.labels), dtype=np.float64) for category in codebook.CATEGORIES]
    encoder = OneHotEncoder(categories=categories, sparse_output=False, handle_unknown="error")
    columns = ColumnTransformer([("levels", encoder, list(range(len(categories))))], remainder="passthrough")
    return Pipeline([("encode", columns), ("estimate", estimator)])
