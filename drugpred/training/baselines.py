"""Baseline models, and the comparison of the configured model with them on the same folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor

from drugpred import codebook
from drugpred.training.confidence import corrected_half_widths
from drugpred.training.estimators import cumulative_targets
from drugpred.training.per_drug import PerDrug, logistic
from drugpred.training.tables import Table, format_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from drugpred.training.evaluation import Evaluation

    Floats = NDArray[np.float64]

PENALTY: Final = 5.0  # L2 penalty of logistic regression: the best of 1, 2, 5, 10 and 33 on the default folds

_TWO_WINDOWS: Final[tuple[codebook.Window, ...]] = ("decade", "year")
"""Windows of all headline figures except the ranked probability score; six would take three times as long."""


class JointForest(BaseEstimator):
    """One forest of regression trees for all 18 drugs and 6 windows.

    Parameters
    ----------
    n_estimators, min_samples_leaf, random_state : int
        As in scikit-learn's `RandomForestRegressor`.
    """

    def __init__(self, n_estimators: int = 300, min_samples_leaf: int = 5, random_state: int = 42) -> None:
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X: Floats, y: NDArray[np.integer[Any]]) -> Self:
        """Fit to design columns of shape (n, 38) and classes of last use of shape (n, 18)."""
        # Regression on 0 and 1 splits like classification by Gini impurity, and allows outcomes without users.
        self.forest_ = RandomForestRegressor(**self.get_params(), max_features="sqrt")
        self.forest_.fit(X, cumulative_targets(y).reshape(len(y), -1).astype(np.float64))
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Return probabilities of use of shape (n, 18, 6), never rising along the windows."""
        shares: Floats = self.forest_.predict(X).reshape(len(X), len(codebook.DRUGS), len(codebook.WINDOWS))
        return -np.sort(-shares, axis=2)


class Baseline(NamedTuple):
    """A model that the configured one is compared with."""

    description: str
    make_estimator: Callable[[int], BaseEstimator]  # returns an unfitted estimator for a seed
    threshold: float | None = None
    """Probability from which use is predicted; None for the base rate of the training rows."""


BASELINES: Final = {
    "logistic": Baseline(
        "logistic regression per drug and window, L2, one-hot columns",
        lambda seed: PerDrug(logistic(PENALTY), random_state=seed),
    ),
    "forest": Baseline("one random forest of all drugs and windows", lambda seed: JointForest(random_state=seed)),
    "boosting": Baseline(
        "gradient boosting per drug, decade and year only",
        lambda seed: PerDrug(
            HistGradientBoostingClassifier(
                learning_rate=0.05, max_iter=100, max_leaf_nodes=4, min_samples_leaf=20, random_state=seed
            ),
            windows=_TWO_WINDOWS,
            random_state=seed,
        ),
    ),
    "reference": Baseline(
        "the reference system's method, a random forest with SMOTE and a threshold of .5, for each drug, decade and"
        " year only, on columns without its faults",
        lambda seed: PerDrug(
            RandomForestClassifier(n_estimators=100, random_state=seed),
            "smote",
            windows=_TWO_WINDOWS,
            random_state=seed,
        ),
        threshold=0.5,
    ),
}


class Difference(NamedTuple):
    """Difference of a headline metric between two models on the same folds."""

    figure: str
    own: float  # value of the configured model
    other: float
    difference: float  # value of the other model minus that of the configured model
    low: float  # lower bound of the 95% interval, see `corrected_half_widths`; nan with a single fold
    high: float

    @property
    def verdict(self) -> str:
        """Whether the other model is better, worse, or equal within the error."""
        if not (self.low > 0 or self.high < 0):
            return "within error"
        lower_is_better = self.figure.endswith(("log_loss", "error", "probability_score"))
        return "better" if (self.difference < 0) == lower_is_better else "worse"


def compare(own: Evaluation, other: Evaluation) -> list[Difference]:
    """Return the paired differences of all headline metrics that both models have in every fold."""
    values, other_values = own.overall(), other.overall()
    by_fold, other_by_fold = own.overall_folds(), other.overall_folds()
    differences = []
    for name in (name for name in by_fold if name in other_by_fold):
        half = float(corrected_half_widths(other_by_fold[name] - by_fold[name], own.test_to_train))
        difference = other_values[name] - values[name]
        bounds = difference - half, difference + half
        differences.append(Difference(name, values[name], other_values[name], difference, *bounds))
    return differences


def comparison_table(name: str, differences: list[Difference]) -> Table:
    """Return a table that compares a baseline with the configured model."""
    rows = []
    for d in differences:
        digits = 1 if d.figure.endswith("sens_spec") else 4
        error = f"{d.difference:+.{digits}f} ± {format_number(d.high - d.difference, digits)}"
        values = format_number(d.own, digits), format_number(d.other, digits)
        rows.append((d.figure.replace("_", " "), *values, error, d.verdict))
    headings = ("figure", "ours", name, "difference", f"{name} is")
    return Table(f"against {name}", headings, rows, f"{name}: {BASELINES[name].description}.")
