"""The estimators: scikit-learn pipelines from respondents' rows to probabilities of use."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from scipy.linalg import block_diag
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits

from drugpred import codebook
from drugpred.data.cohort import Cohort
from drugpred.predictor import N_COLUMNS, QUANTIZATION_STEP, STARTS, design_matrix

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

__all__ = ["TRUSTED", "CumulativeNetwork", "cumulative_targets", "make_pipeline", "rounded", "used"]


TRUSTED: Final = ["drugpred.training.estimators.CumulativeNetwork", "drugpred.training.per_drug.PerDrug"]
"""The types besides scikit-learn's own that `skops.io.load` must be told to trust in a stored pipeline."""


_ARRAYS: Final = ("inputs", "bias", "outputs", "output_bias", "direct")

_SIMULATED: Final = 5000
"""Respondents to distil the forest with; 20,000 give the same figures."""

_LEAF: Final = 5
_FEATURES: Final = 4
"""Of the forest; other sensible choices changed the average by less than its error."""

_SURE: Final = 2e-3
"""A leaf of users alone says 1, and log-odds want something less."""


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
    return np.asarray(block_diag(*blocks, np.eye(len(codebook.SCORES))))


def _values() -> NDArray[np.float64]:
    """Return the map from the design to every input's published value, shape (38, 12)."""
    values = [np.array([category.values]).T for category in codebook.CATEGORIES]
    return np.asarray(block_diag(*values, np.eye(len(codebook.SCORES))))


def used(leave_out: Collection[str]) -> NDArray[np.bool_]:
    """Return which design columns, of 38, are of other inputs than those that are left out."""
    sizes = np.diff([*STARTS, N_COLUMNS])
    return np.repeat([name not in leave_out for name in codebook.INPUTS], sizes)


def rounded(weights: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the nearest weights that `drugpred.predictor.to_npz` can store."""
    return np.asarray(np.rint(weights / QUANTIZATION_STEP) * QUANTIZATION_STEP, np.float32)


class CumulativeNetwork(BaseEstimator):
    """Networks of one tanh layer and a linear model, each of all 18 drugs and 6 windows, averaged in log-odds.

    The linear model keeps what is plainly additive, such as the part of age and country in cannabis, from the
    networks' penalty. Averaging log-odds makes several small networks one wider network, so what is stored and served
    is a single one with direct connections.

    A random forest has a part in the average too. Trees would cost milliseconds to serve, so its log-odds for simulated
    respondents are distilled: into the weights with which the hidden units and the inputs come closest to them.

    Weights are rounded to multiples of `drugpred.predictor.QUANTIZATION_STEP`, far below their sampling error, so that
    they take little room.

    Parameters
    ----------
    hidden_units : int
        Units of each network.
    penalty : float
        L2 penalty on the networks' weights.
    networks : int
        Networks to average, which differ in their random start.
    linear_share : float
        Share of the linear model in its average with the networks, from 0 to 1.
    linear_drugs : collection of str
        Drugs whose share of the linear model is 1: the networks know them no better.
    linear_penalty : float
        L2 penalty on the linear model's weights.
    iterations : int
        Most iterations of L-BFGS. Stopping before convergence does no harm and saves time.
    forest_share : float
        Share of the forest in the average with all of these, from 0 to 1.
    trees : int
        Trees of the forest.
    leave_out : collection of str
        Inputs that are not used.
    random_state : int
        Seed of the first network; the others count on from it.

    Attributes
    ----------
    inputs_, bias_, outputs_, output_bias_, direct_ : ndarray of float32
        The arrays of `drugpred.predictor.Predictor`.
    """

    def __init__(
        self,
        hidden_units: int = 20,
        penalty: float = 25.0,
        networks: int = 3,
        linear_share: float = 0.3,
        linear_drugs: Collection[str] = ("alcohol",),
        linear_penalty: float = 2.0,
        iterations: int = 100,
        forest_share: float = 0.2,
        trees: int = 200,
        leave_out: Collection[str] = (),
        random_state: int = 42,
    ) -> None:
        self.hidden_units = hidden_units
        self.penalty = penalty
        self.networks = networks
        self.linear_share = linear_share
        self.linear_drugs = linear_drugs
        self.linear_penalty = linear_penalty
        self.iterations = iterations
        self.forest_share = forest_share
        self.trees = trees
        self.leave_out = leave_out
        self.random_state = random_state

    def fit(self, X: NDArray[np.float64], y: NDArray[np.integer[Any]]) -> Self:
        """Fit to design columns of shape (n, 38) and classes of last use of shape (n, 18)."""
        mask = used(self.leave_out)
        trends = _trends() * mask[:, np.newaxis]
        columns, targets = X @ trends, cumulative_targets(y).reshape(len(y), -1).astype(np.int8)
        # With more threads BLAS fights over the small products: 20 s in place of 1.7 s.
        with threadpool_limits(1):
            layers = [
                self._fit_one(columns, targets, (self.hidden_units,), self.penalty, self.random_state + i)
                for i in range(self.networks)
            ]
            linear = self._fit_one(columns, targets, (), self.linear_penalty, self.random_state)
        # One share for each output: as many as a drug has windows.
        linear_share = np.repeat(
            [1.0 if drug in self.linear_drugs else self.linear_share for drug in codebook.DRUGS], len(codebook.WINDOWS)
        )
        share = (1.0 - linear_share) / self.networks
        self.inputs_ = trends @ np.hstack([layer.coefs_[0] for layer in layers])
        self.bias_ = np.hstack([layer.intercepts_[0] for layer in layers])
        self.outputs_ = share * np.vstack([layer.coefs_[1] for layer in layers])
        self.output_bias_ = share * np.sum([layer.intercepts_[1] for layer in layers], axis=0)
        self.output_bias_ += linear_share * linear.intercepts_[0]
        self.direct_ = linear_share * (trends @ linear.coefs_[0])
        if self.forest_share:
            with threadpool_limits(1):
                self._distill(X * mask, targets, mask)
        for name in _ARRAYS:
            setattr(self, f"{name}_", rounded(getattr(self, f"{name}_")))
        return self

    def _distill(self, X: NDArray[np.float64], targets: NDArray[np.int8], mask: NDArray[np.bool_]) -> None:
        """Average with what the hidden units and the inputs can say of a forest fitted to the same."""
        values = _values()
        forest = RandomForestRegressor(
            self.trees, min_samples_leaf=_LEAF, max_features=_FEATURES, random_state=self.random_state
        ).fit(X @ values, targets)
        rows = Cohort.load().rows(_SIMULATED, np.random.default_rng(self.random_state))
        simulated = design_matrix(rows) * mask
        probabilities = forest.predict(simulated @ values).clip(_SURE, 1.0 - _SURE)
        units = np.tanh(simulated @ self.inputs_ + self.bias_)
        student = Ridge().fit(np.hstack([units, simulated]), logit(probabilities))
        outputs, direct = np.split(student.coef_.T, [units.shape[1]])
        for name, distilled in {"outputs": outputs, "direct": direct, "output_bias": student.intercept_}.items():
            own = getattr(self, f"{name}_")
            setattr(self, f"{name}_", own + self.forest_share * (distilled - own))

    def _fit_one(
        self, X: NDArray[np.float64], targets: NDArray[np.int8], hidden: tuple[int, ...], penalty: float, seed: int
    ) -> MLPClassifier:
        """Fit a network, or without hidden layers a linear model."""
        network = MLPClassifier(
            hidden, activation="tanh", solver="lbfgs", alpha=penalty, max_iter=self.iterations, random_state=seed
        )
        with warnings.catch_warnings():
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

    Its encoder makes the columns of `drugpred.predictor.design_matrix` and refuses codes that do not exist.
    """
    categories = [np.arange(len(category.labels), dtype=np.float64) for category in codebook.CATEGORIES]
    encoder = OneHotEncoder(categories=categories, sparse_output=False, handle_unknown="error")
    columns = ColumnTransformer([("levels", encoder, list(range(len(categories))))], remainder="passthrough")
    return Pipeline([("encode", columns), ("estimate", estimator)])
