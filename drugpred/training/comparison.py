"""Other models on the same folds, and the published figures: what the configured model is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor

from drugpred import codebook
from drugpred.training.estimators import cumulative_targets
from drugpred.training.intervals import half_widths
from drugpred.training.per_drug import PerDrug, logistic
from drugpred.training.published import PUBLISHED, WHY_OPTIMISTIC
from drugpred.training.tables import Table, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from drugpred.model_store import Card
    from drugpred.training.evaluation import Evaluation

    Floats = NDArray[np.float64]

__all__ = ["PEERS", "PENALTY", "Difference", "JointForest", "Peer", "compare", "comparison_table", "published_table"]

PENALTY: Final = 5.0
"""Of logistic regression: the best of 1, 2, 5, 10 and 33 on the default folds."""

_TWO_WINDOWS: Final[tuple[codebook.Window, ...]] = ("decade", "year")
"""Enough for all headline figures but the ranked probability score; six would take three times as long."""


class JointForest(BaseEstimator):
    """A forest of regression trees on all 18 drugs and 6 windows, whose splits serve all of them.

    Parameters
    ----------
    n_estimators, min_samples_leaf, random_state : int
        Those of scikit-learn's `RandomForestRegressor`.
    """

    def __init__(self, n_estimators: int = 300, min_samples_leaf: int = 5, random_state: int = 42) -> None:
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X: Floats, y: NDArray[np.integer[Any]]) -> Self:
        """Fit to design columns of shape (n, 38) and classes of last use of shape (n, 18)."""
        # Regression on 0 and 1 has the splits of classification by Gini's index, and knows outcomes that nobody had.
        self.forest_ = RandomForestRegressor(**self.get_params(), max_features="sqrt")
        self.forest_.fit(X, cumulative_targets(y).reshape(len(y), -1).astype(np.float64))
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Return probabilities of use of shape (n, 18, 6), never rising along the windows."""
        shares: Floats = self.forest_.predict(X).reshape(len(X), len(codebook.DRUGS), len(codebook.WINDOWS))
        return -np.sort(-shares, axis=2)


class Peer(NamedTuple):
    """A model to compare with."""

    description: str
    estimator: Callable[[int], BaseEstimator]
    """Makes it, not yet fitted, of a seed."""
    threshold: float | None = None
    """From which probability on somebody is predicted to use; the base rate where it is None."""


PEERS: Final = {
    "logistic": Peer(
        "logistic regression per drug and window, L2, one-hot columns",
        lambda seed: PerDrug(logistic(PENALTY), random_state=seed),
    ),
    "forest": Peer("one random forest of all drugs and windows", lambda seed: JointForest(random_state=seed)),
    "boosting": Peer(
        "gradient boosting per drug, decade and year only",
        lambda seed: PerDrug(
            HistGradientBoostingClassifier(
                learning_rate=0.05, max_iter=100, max_leaf_nodes=4, min_samples_leaf=20, random_state=seed
            ),
            windows=_TWO_WINDOWS,
            random_state=seed,
        ),
    ),
    "reference": Peer(
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
    """How a model's headline figure differs from the configured model's on the same folds."""

    figure: str
    own: float
    """The configured model's."""
    other: float
    difference: float
    """The other's less the configured model's."""
    low: float
    """Of the difference's 95% interval, corrected for what folds share; nan with a single fold."""
    high: float

    @property
    def verdict(self) -> str:
        """What the difference says of the other model: better, worse, or neither beyond the error."""
        if not (self.low > 0 or self.high < 0):
            return "within error"
        lower_is_better = self.figure.endswith(("log_loss", "error", "probability_score"))
        return "better" if (self.difference < 0) == lower_is_better else "worse"


def compare(own: Evaluation, other: Evaluation) -> list[Difference]:
    """Return the paired differences of all headline figures that both models have in every fold."""
    mine, theirs, by_fold, other_by_fold = own.overall(), other.overall(), own.overall_folds(), other.overall_folds()
    differences = []
    for name in [name for name in by_fold if name in other_by_fold]:
        half = float(half_widths(other_by_fold[name] - by_fold[name], own.test_to_train))
        difference = theirs[name] - mine[name]
        differences.append(Difference(name, mine[name], theirs[name], difference, difference - half, difference + half))
    return differences


def comparison_table(name: str, differences: list[Difference]) -> Table:
    """Return how a peer compares with the configured model."""
    rows = []
    for d in differences:
        digits = 1 if d.figure.endswith("sens_spec") else 4
        error = f"{d.difference:+.{digits}f} ± {number(d.high - d.difference, digits)}"
        rows.append((d.figure.replace("_", " "), number(d.own, digits), number(d.other, digits), error, d.verdict))
    headings = ("figure", "ours", name, "difference", f"{name} is")
    return Table(f"against {name}", headings, rows, f"{name}: {PEERS[name].description}.")


def published_table(card: Card) -> Table:
    """Return published and cross-validated sensitivity and specificity of every drug, decade, in percent."""
    rows, sums = [], []
    for drug, published in PUBLISHED.items():
        ours = card.drugs[drug]["decade"]
        total = published.sensitivity + published.specificity
        # Sensitivity and specificity add up to twice the balanced accuracy.
        own = None if ours.balanced_accuracy is None else 200 * ours.balanced_accuracy
        interval = ours.intervals.get("balanced_accuracy")
        sums.append((total, np.nan if own is None else own))
        rows.append(
            (
                drug,
                *(f"{value:.1f}" for value in (published.sensitivity, published.specificity, total)),
                *("-" if value is None else f"{100 * value:.1f}" for value in (ours.sensitivity, ours.specificity)),
                number(own, 1),
                f"{200 * interval[0]:.1f} to {200 * interval[1]:.1f}" if interval else "-",
            )
        )
    theirs, mine = np.nanmean(sums, axis=0)
    rows.append(("mean", "", "", f"{theirs:.1f}", "", "", number(mine, 1), ""))
    headings = ("drug", "published\nsens.", "\nspec.", "\nsum", "ours\nsens.", "\nspec.", "\nsum", "95%\ninterval")
    return Table("published and cross-validated, decade, percent", headings, rows, WHY_OPTIMISTIC)
