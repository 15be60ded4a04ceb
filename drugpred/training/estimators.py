"""Estimators: scikit-learn pipelines from respondents' rows to probabilities of use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from scipy.linalg import block_diag
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits

from drugpred import codebook
from drugpred.data.simulator import Cohort
from drugpred.predictor import N_COLUMNS, QUANTIZATION_STEP, STARTS, design_matrix
from drugpred.training.layers import fit_layers

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

TRUSTED: Final = ["drugpred.training.estimators.CumulativeNetwork", "drugpred.training.per_drug.PerDrug"]
"""Types in a stored pipeline that `skops.io.load` must trust, besides scikit-learn's."""

_ARRAYS: Final = ("inputs", "bias", "outputs", "output_bias", "direct")

_SIMULATED: Final = 5000  # simulated respondents for distilling the forest; 20,000 give the same metrics

_LEAF: Final = 5
_FEATURES: Final = 4  # for each split of the forest; other sensible values changed the metrics by less than their error
_MIN_PROBABILITY: Final = 2e-3  # a leaf with users only predicts 1, whose log-odds are infinite


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


def trend_columns() -> NDArray[np.float64]:
    """Return the map from the design to the columns that the networks are fitted on, shape (38, 39).

    Age and education enter as levels and as their published value, gender as its value only: with a penalty on both,
    neighbouring levels share their common trend. The map is linear, so it is folded into the weights.
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


def input_mask(leave_out: Collection[str]) -> NDArray[np.bool_]:
    """Return whether each of the 38 design columns belongs to an input that is not left out."""
    sizes = np.diff([*STARTS, N_COLUMNS])
    return np.repeat([name not in leave_out for name in codebook.INPUTS], sizes)


def quantize(weights: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the nearest weights that `drugpred.predictor.to_npz` can store."""
    return np.asarray(np.rint(weights / QUANTIZATION_STEP) * QUANTIZATION_STEP, np.float32)


class CumulativeNetwork(BaseEstimator):
    """Networks of one tanh layer and a linear model, each of all 18 drugs and 6 windows, averaged in log-odds.

    The linear model keeps additive effects, such as those of age and country on cannabis, free of the networks'
    penalty. Averaging the log-odds of several small networks gives one wider network, so a single network with direct
    connections is stored and served.

    A random forest is also part of the average. Evaluating trees would take milliseconds, so the log-odds of the forest
    for simulated respondents are distilled: a ridge regression on the hidden units and the inputs approximates them.

    Weights are rounded to multiples of `drugpred.predictor.QUANTIZATION_STEP`, far below their sampling error, so that
    they compress well.

    Parameters
    ----------
    hidden_units : int
        Units of each network.
    penalty : float
        L2 penalty on the networks' weights.
    networks : int
        Number of networks to average, which differ in their random start.
    linear_share : float
        Share of the linear model in its average with the networks, from 0 to 1.
    linear_drugs : collection of str
        Drugs whose share of the linear model is 1, because the networks predict them no better.
    linear_penalty : float
        L2 penalty on the linear model's weights.
    iterations : int
        Maximum of L-BFGS. Stopping before convergence saves time and does no harm.
    forest_share : float
        Share of the forest in its average with the others, from 0 to 1.
    trees : int
        Number of trees of the forest.
    leave_out : collection of str
        Inputs to ignore.
    random_state : int
        Seed of the first network; the others use the next ones.

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
        mask = input_mask(self.leave_out)
        trends = trend_columns() * mask[:, np.newaxis]
        columns, targets = X @ trends, cumulative_targets(y).reshape(len(y), -1).astype(np.int8)
        # The products are small: with more threads BLAS takes 20 s instead of 1.7 s.
        with threadpool_limits(1):
            networks = [
                fit_layers(columns, targets, self.hidden_units, self.penalty, self.iterations, self.random_state + i)
                for i in range(self.networks)
            ]
            (linear,) = fit_layers(columns, targets, None, self.linear_penalty, self.iterations, self.random_state)
        # One share per output: all windows of a drug have the same.
        linear_share = np.repeat(
            [1.0 if drug in self.linear_drugs else self.linear_share for drug in codebook.DRUGS], len(codebook.WINDOWS)
        )
        share = (1.0 - linear_share) / self.networks
        hidden, last = zip(*networks, strict=True)
        self.inputs_ = trends @ np.hstack([layer.weights for layer in hidden])
        self.bias_ = np.hstack([layer.bias for layer in hidden])
        self.outputs_ = share * np.vstack([layer.weights for layer in last])
        self.output_bias_ = share * np.sum([layer.bias for layer in last], axis=0)
        self.output_bias_ += linear_share * linear.bias
        self.direct_ = linear_share * (trends @ linear.weights)
        if self.forest_share:
            with threadpool_limits(1):
                self._distill(X * mask, targets, mask)
        for name in _ARRAYS:
            setattr(self, f"{name}_", quantize(getattr(self, f"{name}_")))
        return self

    def _distill(self, X: NDArray[np.float64], targets: NDArray[np.int8], mask: NDArray[np.bool_]) -> None:
        """Average with an approximation, by hidden units and inputs, of a forest fitted to the same targets."""
        # From design columns to the published value of every input, shape (38, 12).
        values = block_diag(*(np.array([c.values]).T for c in codebook.CATEGORIES), np.eye(len(codebook.SCORES)))
        forest = RandomForestRegressor(
            self.trees, min_samples_leaf=_LEAF, max_features=_FEATURES, random_state=self.random_state
        ).fit(X @ values, targets)
        rows = Cohort.load().rows(_SIMULATED, np.random.default_rng(self.random_state))
        simulated = design_matrix(rows) * mask
        probabilities = forest.predict(simulated @ values).clip(_MIN_PROBABILITY, 1.0 - _MIN_PROBABILITY)
        units = np.tanh(simulated @ self.inputs_ + self.bias_)
        student = Ridge().fit(np.hstack([units, simulated]), logit(probabilities))
        outputs, direct = np.split(student.coef_.T, [units.shape[1]])
        for name, distilled in {"outputs": outputs, "direct": direct, "output_bias": student.intercept_}.items():
            own = getattr(self, f"{name}_")
            setattr(self, f"{name}_", own + self.forest_share * (distilled - own))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the fitted weights for `drugpred.predictor.Predictor`."""
        return {name: getattr(self, f"{name}_") for name in _ARRAYS}

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities of use of shape (n, 18, 6), never rising along the windows."""
        inputs, bias, outputs, output_bias, direct = (array.astype(np.float64) for array in self.arrays().values())
        log_odds = np.tanh(X @ inputs + bias) @ outputs + X @ direct + output_bias
        shape = (len(X), len(codebook.DRUGS), len(codebook.WINDOWS))
        ordered: NDArray[np.float64] = -np.sort(-log_odds.reshape(shape), axis=2)
        return 1.0 / (1.0 + np.exp(-ordered))


def make_pipeline(estimator: BaseEstimator) -> Pipeline:
    """Return a pipeline that encodes respondents' rows, shape (n, 12), for the estimator.

    Its encoder returns the columns of `drugpred.predictor.design_matrix` and raises for codes that do not exist.
    """
    categories = [np.arange(len(category.labels), dtype=np.float64) for category in codebook.CATEGORIES]
    encoder = OneHotEncoder(categories=categories, sparse_output=False, handle_unknown="error")
    columns = ColumnTransformer([("levels", encoder, list(range(len(categories))))], remainder="passthrough")
    return Pipeline([("encode", columns), ("estimate", estimator)])
