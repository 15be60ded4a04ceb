"""What treatments of imbalance do: imbalanced-learn's samplers and others, on the same folds, use within a decade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from imblearn.ensemble import BalancedRandomForestClassifier
from sklearn.ensemble import RandomForestClassifier

from drugpred import codebook
from drugpred.training.comparison import PENALTY
from drugpred.training.estimators import make_pipeline
from drugpred.training.evaluation import cross_validate
from drugpred.training.intervals import half_widths
from drugpred.training.per_drug import PerDrug, logistic
from drugpred.training.tables import Table, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from sklearn.base import ClassifierMixin

    from drugpred.data.respondents import Respondents
    from drugpred.training.evaluation import Evaluation, Split
    from drugpred.training.per_drug import Sampler

    Floats = NDArray[np.float64]

__all__ = ["FIGURES", "TREATMENTS", "Result", "Treatment", "study", "study_table"]

FIGURES: Final = ("auc", "log_loss", "calibration_error", "balanced_accuracy", "geometric_mean")

_TREES: Final = 50
_LEAF: Final = 5

WHY: Final = (
    "Means of 18 drugs. Somebody is predicted to use from the share of users in the training rows on; where users and"
    " non-users were evened out and probabilities not recalibrated, from .5 on, which is their share as such a model"
    " has seen it. Recalibration is Platt's sigmoid, fitted inside the training rows on held-out rows that no sampler"
    " touched. * differs from plain logistic regression beyond the error (95%, corrected for what folds share)."
)


class Treatment(NamedTuple):
    """One way to treat imbalance."""

    classifier: Callable[[int], ClassifierMixin]
    """Makes it, not yet fitted, of a seed."""
    sampler: Sampler = "none"
    evens_out: bool = True
    """Whether it learns as if there were as many users as non-users."""


def _forest(seed: int) -> ClassifierMixin:
    return RandomForestClassifier(_TREES, min_samples_leaf=_LEAF, random_state=seed)


TREATMENTS: Final = {
    "logistic regression": Treatment(lambda _: logistic(PENALTY), evens_out=False),
    "logistic, class weights": Treatment(lambda _: logistic(PENALTY, class_weight="balanced")),
    "logistic, SMOTE": Treatment(lambda _: logistic(PENALTY), "smote"),
    "logistic, SMOTENC": Treatment(lambda _: logistic(PENALTY), "smotenc"),
    "logistic, undersampling": Treatment(lambda _: logistic(PENALTY), "undersampling"),
    "forest": Treatment(_forest, evens_out=False),
    "forest, SMOTE": Treatment(_forest, "smote"),
    "balanced forest": Treatment(
        lambda seed: BalancedRandomForestClassifier(_TREES, min_samples_leaf=_LEAF, random_state=seed)
    ),
}
"""By name; the others are compared with the first."""


class Result(NamedTuple):
    """One figure of one treatment: the mean of 18 drugs."""

    treatment: str
    recalibrated: bool
    threshold: str
    figure: str
    value: float
    low: float
    """Of the 95% interval."""
    high: float
    difference: float
    """From plain logistic regression, with its interval."""
    difference_low: float
    difference_high: float


def study(respondents: Respondents, folds: Sequence[Split], seed: int, folder: Path | None = None) -> list[Result]:
    """Cross-validate every treatment with and without recalibration.

    Parameters
    ----------
    respondents : Respondents
    folds : sequence of (training rows, test rows)
    seed : int
        Of classifiers and samplers.
    folder : pathlib.Path, optional
        Where finished folds are kept, see `cross_validate`.
    """
    results: list[Result] = []
    plain: dict[str, Floats] = {}
    for name, treatment in TREATMENTS.items():
        for recalibrate in (False, True):
            estimator = PerDrug(
                treatment.classifier(seed), treatment.sampler, recalibrate, windows=("decade",), random_state=seed
            )
            threshold = 0.5 if treatment.evens_out and not recalibrate else None
            pipeline, label = make_pipeline(estimator), name + (", recalibrated" if recalibrate else "")
            evaluation = cross_validate(
                pipeline, respondents.X, respondents.last_use, folds, folder, threshold=threshold, label=label
            )
            by_fold = _by_fold(evaluation)
            plain = plain or by_fold
            shown = "share" if threshold is None else f"{threshold}"
            for figure, values in by_fold.items():
                bounds = [_interval(v, evaluation.test_to_train) for v in (values, values - plain[figure])]
                results.append(Result(name, recalibrate, shown, figure, *bounds[0], *bounds[1]))
    return results


def _interval(values: Floats, test_to_train: float) -> tuple[float, float, float]:
    mean, half = float(values.mean()), float(half_widths(values, test_to_train))
    return mean, mean - half, mean + half


def _by_fold(evaluation: Evaluation) -> dict[str, Floats]:
    """Return the mean over drugs of `FIGURES` by fold."""
    figures = evaluation.by_fold
    # imbalanced-learn's geometric_mean_score, from what it is the geometric mean of.
    figures = figures | {"geometric_mean": np.sqrt(figures["sensitivity"] * figures["specificity"])}
    return {name: np.nanmean(figures[name][:, :, codebook.DECADE], axis=1) for name in FIGURES}


def study_table(results: Sequence[Result]) -> Table:
    """Return a row for each treatment, with and without recalibration."""
    rows = []
    for start in range(0, len(results), len(FIGURES)):
        figures = results[start : start + len(FIGURES)]
        first = figures[0]
        cells = [
            number(result.value) + ("*" if result.difference_low > 0 or result.difference_high < 0 else "")
            for result in figures
        ]
        rows.append((first.treatment, "yes" if first.recalibrated else "no", first.threshold, *cells))
    headings = (
        "treatment",
        "recal.",
        "cutoff",
        "AUC",
        "log\nloss",
        "calib.\nerror",
        "balanced\naccuracy",
        "geom.\nmean",
    )
    return Table("imbalance, decade", headings, rows, WHY)
