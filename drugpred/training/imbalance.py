"""Compares treatments of class imbalance on the same folds, for use within a decade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from imblearn.ensemble import BalancedRandomForestClassifier
from sklearn.ensemble import RandomForestClassifier

from drugpred import codebook
from drugpred.training.baselines import PENALTY
from drugpred.training.confidence import corrected_half_widths
from drugpred.training.experiment import cross_validate_model
from drugpred.training.per_drug import PerDrug, logistic
from drugpred.training.tables import Table, format_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from sklearn.base import ClassifierMixin

    from drugpred.data.respondents import Respondents
    from drugpred.training.configuration import Configuration
    from drugpred.training.per_drug import Sampler

    Floats = NDArray[np.float64]

COMPARED_METRICS: Final = ("auc", "log_loss", "calibration_error", "balanced_accuracy", "geometric_mean")

_TREES: Final = 50
_LEAF: Final = 5

WHY: Final = (
    "Means of 18 drugs. Use is predicted from the share of users in the training rows; for balanced training rows"
    " without recalibration from .5, which is the share in those rows. Recalibration is Platt's sigmoid, fitted on"
    " held-out training rows that no sampler touched. * differs from plain logistic regression by more than the error"
    " (95%, corrected for shared training rows)."
)


class Treatment(NamedTuple):
    """One treatment of class imbalance."""

    classifier: Callable[[int], ClassifierMixin]  # returns an unfitted classifier for a seed
    sampler: Sampler = "none"
    evens_out: bool = True  # whether training is balanced between users and non-users


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
"""By name; all are compared with the first one."""


class Result(NamedTuple):
    """A metric of a treatment, averaged over 18 drugs."""

    treatment: str
    recalibrated: bool
    threshold: str
    figure: str
    value: float
    low: float  # of the 95% interval
    high: float
    difference: float  # from plain logistic regression, with its 95% interval
    difference_low: float
    difference_high: float


def compare_treatments(respondents: Respondents, config: Configuration, folder: Path | None = None) -> list[Result]:
    """Cross-validate every treatment with and without recalibration.

    Parameters
    ----------
    respondents : Respondents
    config : Configuration
        Folds and seed.
    folder : pathlib.Path, optional
        Cache of finished folds, see `cross_validate`.
    """
    results: list[Result] = []
    plain: dict[str, Floats] = {}
    for name, treatment in TREATMENTS.items():
        for recalibrate in (False, True):
            estimator = PerDrug(
                treatment.classifier(config.seed),
                treatment.sampler,
                recalibrate,
                windows=("decade",),
                random_state=config.seed,
            )
            threshold = 0.5 if treatment.evens_out and not recalibrate else None
            label = name + (", recalibrated" if recalibrate else "")
            evaluation = cross_validate_model(
                respondents, config, folder, estimator=estimator, threshold=threshold, label=label
            )
            metrics = dict(evaluation.by_fold)
            # Like imbalanced-learn's geometric_mean_score.
            metrics |= {"geometric_mean": np.sqrt(metrics["sensitivity"] * metrics["specificity"])}
            by_fold = {
                metric: np.nanmean(metrics[metric][:, :, codebook.DECADE], axis=1) for metric in COMPARED_METRICS
            }
            plain = plain or by_fold
            cutoff = "share" if threshold is None else f"{threshold}"
            for figure, values in by_fold.items():
                bounds = [_interval(v, evaluation.test_to_train) for v in (values, values - plain[figure])]
                results.append(Result(name, recalibrate, cutoff, figure, *bounds[0], *bounds[1]))
    return results


def _interval(values: Floats, test_to_train: float) -> tuple[float, float, float]:
    mean, half = float(values.mean()), float(corrected_half_widths(values, test_to_train))
    return mean, mean - half, mean + half


def treatments_table(results: Sequence[Result]) -> Table:
    """Return a table of all treatments, with and without recalibration."""
    rows = []
    for start in range(0, len(results), len(COMPARED_METRICS)):
        figures = results[start : start + len(COMPARED_METRICS)]
        first = figures[0]
        cells = [
            format_number(result.value) + ("*" if result.difference_low > 0 or result.difference_high < 0 else "")
            for result in figures
        ]
        rows.append((first.treatment, "yes" if first.recalibrated else "no", first.threshold, *cells))
    metrics = ("AUC", "log\nloss", "calib.\nerror", "balanced\naccuracy", "geom.\nmean")
    headings = ("treatment", "recal.", "cutoff", *metrics)
    return Table("imbalance, decade", headings, rows, WHY)
