"""Cross-validation with folds shared by all drugs: metrics and their confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from joblib import Parallel, delayed
from rich.progress import track
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold, train_test_split

from drugpred import codebook
from drugpred.errors import DataError, interrupted_later
from drugpred.training import classification_metrics as metrics
from drugpred.training.cache import get_or_compute
from drugpred.training.confidence import corrected_half_widths
from drugpred.training.estimators import cumulative_targets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    Floats: TypeAlias = NDArray[np.float64]
    LastUse: TypeAlias = NDArray[np.integer[Any]]
    Rows: TypeAlias = NDArray[np.intp]
    Split: TypeAlias = tuple[Rows, Rows]

_YEAR: Final = codebook.WINDOW_INDEX["year"]
_CANNABIS: Final = codebook.DRUGS.index("cannabis")

_AUC15: Final = [drug not in {"alcohol", "caffeine", "chocolate"} for drug in codebook.DRUGS]
"""Almost everybody uses the other three, so their AUC says little about a model."""

_ID_MISSING_IN_CSV: Final = 1


def make_folds(last_use: LastUse, n_folds: int, n_repeats: int, seed: int) -> list[Split]:
    """Return training and test rows of repeated folds, stratified by the number of drugs used within a decade.

    Raises
    ------
    DataError
        There are too few respondents.
    """
    used = (last_use > codebook.DECADE).sum(axis=1)
    strata = np.searchsorted(np.quantile(used, np.linspace(0.1, 0.9, 9)), used)
    splitter = RepeatedStratifiedKFold(n_splits=n_folds, n_repeats=n_repeats, random_state=seed)
    try:
        return list(splitter.split(used, strata))
    except ValueError as error:
        raise DataError(f"expected more respondents: {len(used)} are too few for {n_folds} folds") from error


@dataclass(frozen=True)
class Evaluation:
    """Results of cross-validation.

    Attributes
    ----------
    last_use : ndarray of shape (n, 18)
        The observed classes.
    probabilities : ndarray of shape (repeats, n, 18, 6)
        Predictions by models that were not trained on the respondent.
    folds : dict of str to ndarray of shape (folds, 18, 6)
        The metrics of `measure` by test fold.
    tested : ndarray of shape (repeats, n), optional
        The index of the fold that tested each respondent; None for a single test, which has no intervals.
    """

    last_use: LastUse
    probabilities: Floats
    folds: dict[str, Floats]
    tested: Rows | None = None

    def figures(self) -> dict[str, Floats]:
        """Return the mean of every metric, including the calibration error, shape (18, 6).

        nan if no fold has both users and non-users.
        """
        means = {}
        for name, values in self.folds.items():
            counts = np.isfinite(values).sum(axis=0)
            means[name] = np.where(counts > 0, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)
        return means | {"calibration_error": self._calibration_errors.mean(axis=0)}

    def intervals(self) -> dict[str, Floats]:
        """Return lower and upper bounds of the 95% intervals of `figures`, shape (18, 6, 2); nan if unknown."""
        return {name: self._interval(name, value, self.by_fold[name]) for name, value in self.figures().items()}

    def overall(self) -> dict[str, float]:
        """Return the headline metrics: cannabis within a decade, all drugs within a decade and a year.

        `auc15` leaves out alcohol, caffeine and chocolate; `sens_spec` is the sum of sensitivity and specificity in
        percent; the ranked probability score is the mean over drugs of the squared error summed over the windows.
        Means leave out drugs that cannot be measured, and metrics that no drug has are left out.
        """
        scores = metrics.ranked_probability_scores(self.probabilities, self.last_use)
        headline = _headline(self.figures()) | {"ranked_probability_score": scores}
        return {name: float(np.nanmean(values)) for name, values in headline.items() if np.isfinite(values).any()}

    def overall_folds(self) -> dict[str, Floats]:
        """Return the headline metrics that every fold has, by test fold, shape (folds,)."""
        if self.tested is None:
            return {}
        scores = metrics.ranked_probability_scores(self.probabilities, self.last_use)
        by_fold = [
            r[t == fold].mean() for r, t in zip(scores, self.tested, strict=True) for fold in range(self._n_folds)
        ]
        headline = _headline(self.by_fold) | {"ranked_probability_score": np.array(by_fold)[:, np.newaxis]}
        return {n: np.nanmean(v, axis=1) for n, v in headline.items() if np.isfinite(v).any(axis=1).all()}

    def overall_intervals(self) -> dict[str, tuple[float, float]]:
        """Return the 95% intervals of the headline metrics that every fold has."""
        overall = self.overall()
        bounds = {n: self._interval(n, np.float64(overall[n]), v) for n, v in self.overall_folds().items()}
        return {name: (float(low), float(high)) for name, (low, high) in bounds.items() if np.isfinite(low)}

    def ranked_probability_scores(self) -> dict[str, float]:
        """Return the ranked probability score of every drug."""
        scores = metrics.ranked_probability_scores(self.probabilities, self.last_use).mean(axis=(0, 1))
        return dict(zip(codebook.DRUGS, scores.tolist(), strict=True))

    @property
    def test_to_train(self) -> float:
        """Ratio of test rows to training rows of a fold."""
        return 1 / (self._n_folds - 1)

    @cached_property
    def _n_folds(self) -> int:
        return 1 if self.tested is None else int(self.tested.max()) + 1

    @cached_property
    def _calibration_errors(self) -> Floats:
        """Over all folds of each repeat, because few respondents per bin would inflate it; shape (repeats, 18, 6)."""
        return np.array([metrics.calibration_error(self._truth, repeat) for repeat in self.probabilities])

    @cached_property
    def _truth(self) -> NDArray[np.bool_]:
        return cumulative_targets(self.last_use)

    @cached_property
    def by_fold(self) -> dict[str, Floats]:
        """The metrics of every fold, shape (folds, 18, 6).

        The calibration error of a single fold would be inflated by its small size. Its value is instead a pseudo-value
        of the delete-a-fold jackknife: their mean is the error over all folds, and their variance the jackknife's.
        """
        if self.tested is None:
            return self.folds | {"calibration_error": np.full_like(self.folds["auc"], np.nan)}
        values = []
        for error, repeat, tested in zip(self._calibration_errors, self.probabilities, self.tested, strict=True):
            others = [tested != fold for fold in range(self._n_folds)]
            without = np.array([metrics.calibration_error(self._truth[rows], repeat[rows]) for rows in others])
            values.append(error + (self._n_folds - 1) * (without.mean(axis=0) - without))
        return self.folds | {"calibration_error": np.concatenate(values)}

    def _interval(self, name: str, value: Floats | np.float64, by_fold: Floats) -> Floats:
        if self.tested is None:
            return np.full((*np.shape(value), 2), np.nan)
        half = corrected_half_widths(by_fold, self.test_to_train)
        highest = 200.0 if name.endswith("sens_spec") else np.inf if name.endswith(("loss", "score")) else 1.0
        return np.stack([np.maximum(value - half, 0.0), np.minimum(value + half, highest)], axis=-1)


def _headline(figures: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the values that headline metrics average, shape (..., drugs)."""
    sens_spec = 100 * (figures["sensitivity"] + figures["specificity"])
    cannabis = [_CANNABIS]
    return {
        "cannabis_decade_auc": figures["auc"][..., cannabis, codebook.DECADE],
        "cannabis_decade_sens_spec": sens_spec[..., cannabis, codebook.DECADE],
        "cannabis_decade_log_loss": figures["log_loss"][..., cannabis, codebook.DECADE],
        "decade_log_loss": figures["log_loss"][..., codebook.DECADE],
        "decade_auc15": figures["auc"][..., _AUC15, codebook.DECADE],
        "decade_sens_spec": sens_spec[..., codebook.DECADE],
        "decade_calibration_error": figures["calibration_error"][..., codebook.DECADE],
        "year_log_loss": figures["log_loss"][..., _YEAR],
        "year_auc15": figures["auc"][..., _AUC15, _YEAR],
    }


def cross_validate(
    pipeline: Pipeline,
    X: Floats,
    last_use: LastUse,
    folds: Sequence[Split],
    folder: Path | None = None,
    *,
    threshold: float | None = None,
    label: str = "cross-validating",
) -> Evaluation:
    """Fit and measure a pipeline on every fold, on all cores, with a progress bar.

    Parameters
    ----------
    pipeline : Pipeline
        Not modified: each fold fits a clone.
    X : ndarray of shape (n, 12)
    last_use : ndarray of shape (n, 18)
    folds : sequence of (training rows, test rows)
        Returned by `make_folds`: repeats one after the other, each testing every row once.
    folder : pathlib.Path, optional
        A cache of the probabilities of finished folds, for the next run with the same pipeline, data, folds and
        versions.
    threshold : float, optional
        Probability from which use is predicted; by default the base rate of the training rows.
    label : str
        Label of the progress bar.
    """
    folder = folder.resolve() if folder else None  # worker processes may have another working directory
    jobs = (delayed(_probabilities)(clone(pipeline), X, last_use, train, test, folder) for train, test in folds)
    with interrupted_later():
        results = Parallel(n_jobs=-1, return_as="generator")(jobs)
    probabilities: list[Floats] = []
    tested: list[Rows] = []
    figures: dict[str, list[Floats]] = {name: [] for name in metrics.METRICS}
    tracked = track(results, label, total=len(folds))
    for (train, test), predicted in zip(folds, tracked, strict=True):
        if not tested or (tested[-1] >= 0).all():
            probabilities.append(np.empty((len(X), *predicted.shape[1:])))
            tested.append(np.full(len(X), -1))
        probabilities[-1][test], tested[-1][test] = predicted, tested[-1].max() + 1
        thresholds = metrics.base_rates(last_use[train])
        if threshold is not None:
            thresholds[:] = threshold
        for name, values in metrics.measure(predicted, last_use[test], thresholds).items():
            figures[name].append(values)
    by_fold = {name: np.stack(values) for name, values in figures.items()}
    return Evaluation(last_use, np.stack(probabilities), by_fold, np.stack(tested))


def _probabilities(
    pipeline: Pipeline, X: Floats, last_use: LastUse, train: Rows, test: Rows, folder: Path | None
) -> Floats:
    """Fit to the training rows and return probabilities of the test rows."""

    def fit() -> Floats:
        probabilities: Floats = pipeline.fit(X[train], last_use[train]).predict_proba(X[test])
        return probabilities

    return get_or_compute(folder, fit, pipeline, X, last_use, train, test) if folder else fit()


def reference_split(
    pipeline: Pipeline, X: Floats, last_use: LastUse, ids: NDArray[np.integer[Any]]
) -> dict[str, float]:
    """Return accuracy at .5 and AUC for cannabis (decade) on the split that the reference system reports.

    It is a stratified 80/20 split with seed 42 of the decoded CSV, which lacks the respondent with id 1. The reference
    (random forest with SMOTE) has .7825 and .847.
    """
    rows = np.flatnonzero(ids != _ID_MISSING_IN_CSV)
    users = last_use[:, _CANNABIS] > codebook.DECADE
    train, test = train_test_split(rows, test_size=0.2, random_state=42, stratify=users[rows])
    fitted = clone(pipeline).fit(X[train], last_use[train])
    probabilities = fitted.predict_proba(X[test])[:, _CANNABIS, codebook.DECADE]
    return {
        "accuracy": float(((probabilities >= 0.5) == users[test]).mean()),
        "auc": float(roc_auc_score(users[test], probabilities)),
    }
