"""How good a model is: cross-validation with folds shared by all drugs, its figures and their intervals."""

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
from drugpred.training.estimators import cumulative_targets
from drugpred.training.intervals import half_widths
from drugpred.training.kept import found_or_made
from drugpred.training.measures import FIGURES, base_rates, calibration_error, measure, ranked_probability_scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    Floats: TypeAlias = NDArray[np.float64]
    LastUse: TypeAlias = NDArray[np.integer[Any]]
    Rows: TypeAlias = NDArray[np.intp]
    Split: TypeAlias = tuple[Rows, Rows]
    Interval: TypeAlias = tuple[float, float]

__all__ = ["Evaluation", "cross_validate", "reference_split", "splits"]

_YEAR: Final = codebook.WINDOW_INDEX["year"]
_CANNABIS: Final = codebook.DRUGS.index("cannabis")

_AUC15: Final = [drug not in {"alcohol", "caffeine", "chocolate"} for drug in codebook.DRUGS]
"""Almost everybody uses the other three, so their AUC says little about a model."""

_ID_LOST_FROM_THE_CSV: Final = 1


def splits(last_use: LastUse, n_splits: int, n_repeats: int, seed: int) -> list[Split]:
    """Return training and test rows of repeated folds, stratified by how many drugs were used within a decade.

    Raises
    ------
    DataError
        There are too few respondents.
    """
    used = (last_use > codebook.DECADE).sum(axis=1)
    strata = np.searchsorted(np.quantile(used, np.linspace(0.1, 0.9, 9)), used)
    splitter = RepeatedStratifiedKFold(n_splits=n_splits, n_repeats=n_repeats, random_state=seed)
    try:
        return list(splitter.split(used, strata))
    except ValueError as error:
        raise DataError(f"expected more respondents: {len(used)} are too few for {n_splits} folds") from error


@dataclass(frozen=True)
class Evaluation:
    """What cross-validation found.

    Attributes
    ----------
    last_use : ndarray of shape (n, 18)
        The truth.
    probabilities : ndarray of shape (repeats, n, 18, 6)
        What was said of every respondent by a model that had not seen them.
    folds : dict of str to ndarray of shape (folds, 18, 6)
        The figures of `measure` by test fold.
    tested : ndarray of shape (repeats, n), optional
        Which fold of the repeat tested each respondent, counted from 0; None of a single test, which has no intervals.
    """

    last_use: LastUse
    probabilities: Floats
    folds: dict[str, Floats]
    tested: Rows | None = None

    def figures(self) -> dict[str, Floats]:
        """Return the mean of every figure, shape (18, 6), the calibration error among them.

        nan where no fold held both users and non-users.
        """
        means = {}
        for name, values in self.folds.items():
            counts = np.isfinite(values).sum(axis=0)
            means[name] = np.divide(
                np.nansum(values, axis=0), counts, out=np.full(counts.shape, np.nan), where=counts > 0
            )
        return means | {"calibration_error": self._calibration_errors.mean(axis=0)}

    def intervals(self) -> dict[str, Floats]:
        """Return lower and upper bounds of the 95% intervals of `figures`, shape (18, 6, 2); nan where unknown."""
        return {name: self._interval(name, value, self.by_fold[name]) for name, value in self.figures().items()}

    def overall(self) -> dict[str, float]:
        """Return the headline figures: cannabis within a decade, all drugs within a decade and a year.

        `auc15` leaves out alcohol, caffeine and chocolate; `sens_spec` is the sum of sensitivity and specificity in
        percent; the ranked probability score is the mean over drugs of the squared error summed over the windows.
        Drugs that cannot be measured are left out of a mean, and so is a figure that no drug has.
        """
        scores = ranked_probability_scores(self.probabilities, self.last_use)
        headline = _headline(self.figures()) | {"ranked_probability_score": scores}
        return {name: float(np.nanmean(values)) for name, values in headline.items() if np.isfinite(values).any()}

    def overall_folds(self) -> dict[str, Floats]:
        """Return every headline figure by test fold, shape (folds,), of those that every fold has."""
        if self.tested is None:
            return {}
        scores = [
            repeat[tested == fold]
            for repeat, tested in zip(
                ranked_probability_scores(self.probabilities, self.last_use), self.tested, strict=True
            )
            for fold in range(self._n_folds)
        ]
        headline = _headline(self.by_fold)
        result = {n: np.nanmean(v, axis=1) for n, v in headline.items() if np.isfinite(v).any(axis=1).all()}
        means = np.array([fold.mean() for fold in scores])
        return result | ({"ranked_probability_score": means} if np.isfinite(means).all() else {})

    def overall_intervals(self) -> dict[str, Interval]:
        """Return the 95% intervals of `overall`, of the figures that every fold has."""
        overall = self.overall()
        bounds = {n: self._interval(n, np.float64(overall[n]), v) for n, v in self.overall_folds().items()}
        return {name: (float(low), float(high)) for name, (low, high) in bounds.items() if np.isfinite(low)}

    def ranked_probability_scores(self) -> dict[str, float]:
        """Return the ranked probability score of every drug."""
        scores = ranked_probability_scores(self.probabilities, self.last_use).mean(axis=(0, 1))
        return dict(zip(codebook.DRUGS, scores.tolist(), strict=True))

    @property
    def test_to_train(self) -> float:
        """Test rows by training rows of a fold."""
        return 1 / (self._n_folds - 1)

    @cached_property
    def _n_folds(self) -> int:
        return 1 if self.tested is None else int(self.tested.max()) + 1

    @cached_property
    def _calibration_errors(self) -> Floats:
        """Of every repeat, all folds together, because few respondents in a bin would inflate it; (repeats, 18, 6)."""
        return np.array([_calibration_errors(self._truth, repeat) for repeat in self.probabilities])

    @cached_property
    def _truth(self) -> NDArray[np.bool_]:
        return cumulative_targets(self.last_use)

    @cached_property
    def by_fold(self) -> dict[str, Floats]:
        """The figures of every fold, shape (folds, 18, 6).

        The calibration error of a fold alone would be inflated by its size. So its value is what the fold adds to the
        error of all: the error of all, and the jackknife's influence of leaving the fold out. The mean over folds is
        the error of all, and the variance that of the delete-a-fold jackknife.
        """
        if self.tested is None:
            return self.folds | {"calibration_error": np.full_like(self.folds["auc"], np.nan)}
        values = []
        for whole, repeat, tested in zip(self._calibration_errors, self.probabilities, self.tested, strict=True):
            kept = [tested != fold for fold in range(self._n_folds)]
            without = np.array([_calibration_errors(self._truth[rows], repeat[rows]) for rows in kept])
            values.append(whole + (self._n_folds - 1) * (without.mean(axis=0) - without))
        return self.folds | {"calibration_error": np.concatenate(values)}

    def _interval(self, name: str, value: Floats | np.float64, by_fold: Floats) -> Floats:
        if self.tested is None:
            return np.full((*np.shape(value), 2), np.nan)
        half = half_widths(by_fold, self.test_to_train)
        highest = 200.0 if name.endswith("sens_spec") else np.inf if name.endswith(("loss", "score")) else 1.0
        return np.stack([np.maximum(value - half, 0.0), np.minimum(value + half, highest)], axis=-1)


def _calibration_errors(truth: NDArray[np.bool_], probabilities: Floats) -> Floats:
    errors = np.empty(truth.shape[1:])
    for at in np.ndindex(errors.shape):
        errors[at] = calibration_error(truth[:, *at], probabilities[:, *at])
    return errors


def _headline(figures: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return what headline figures are the means of, shape (..., drugs)."""
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
    """Fit and measure a pipeline on every split, on all cores, with a progress bar.

    Parameters
    ----------
    pipeline : Pipeline
        Left as it is: each split fits a clone.
    X : ndarray of shape (n, 12)
    last_use : ndarray of shape (n, 18)
    folds : sequence of (training rows, test rows)
        As `splits` makes them: repeats one after the other, each testing every row once.
    folder : pathlib.Path, optional
        Where the probabilities of every finished fold are kept, and found again by the next run of the same pipeline,
        data, folds and versions.
    threshold : float, optional
        From which probability on somebody is predicted to use; without it, the base rate of the training rows.
    label : str
        What the progress bar says.
    """
    folder = folder.resolve() if folder else None  # processes that fit may have been started elsewhere
    jobs = (delayed(_probabilities)(clone(pipeline), X, last_use, train, test, folder) for train, test in folds)
    with interrupted_later():
        results = Parallel(n_jobs=-1, return_as="generator")(jobs)
    probabilities: list[Floats] = []
    tested: list[Rows] = []
    figures: dict[str, list[Floats]] = {name: [] for name in FIGURES}
    described = track(results, label, total=len(folds))
    for (train, test), predicted in zip(folds, described, strict=True):
        if not tested or (tested[-1] >= 0).all():
            probabilities.append(np.empty((len(X), *predicted.shape[1:])))
            tested.append(np.full(len(X), -1))
        probabilities[-1][test], tested[-1][test] = predicted, tested[-1].max() + 1
        thresholds = base_rates(last_use[train])
        if threshold is not None:
            thresholds[:] = threshold
        for name, values in measure(predicted, last_use[test], thresholds).items():
            figures[name].append(values)
    by_fold = {name: np.stack(values) for name, values in figures.items()}
    return Evaluation(last_use, np.stack(probabilities), by_fold, np.stack(tested))


def _probabilities(
    pipeline: Pipeline, X: Floats, last_use: LastUse, train: Rows, test: Rows, folder: Path | None
) -> Floats:
    """Fit to the training rows and return what is said of the test rows."""

    def fit() -> Floats:
        said: Floats = pipeline.fit(X[train], last_use[train]).predict_proba(X[test])
        return said

    return found_or_made(folder, fit, pipeline, X, last_use, train, test) if folder else fit()


def reference_split(
    pipeline: Pipeline, X: Floats, last_use: LastUse, ids: NDArray[np.integer[Any]]
) -> dict[str, float]:
    """Return accuracy at .5 and AUC for cannabis (decade) on the split that the reference system reports.

    That is one stratified 80/20 split with seed 42 of the decoded CSV, which lost the respondent with id 1. The
    reference (random forest with SMOTE) has .7825 and .847 there.
    """
    rows = np.flatnonzero(ids != _ID_LOST_FROM_THE_CSV)
    users = last_use[:, _CANNABIS] > codebook.DECADE
    train, test = train_test_split(rows, test_size=0.2, random_state=42, stratify=users[rows])
    fitted = clone(pipeline).fit(X[train], last_use[train])
    probabilities = fitted.predict_proba(X[test])[:, _CANNABIS, codebook.DECADE]
    return {
        "accuracy": float(((probabilities >= 0.5) == users[test]).mean()),
        "auc": float(roc_auc_score(users[test], probabilities)),
    }
