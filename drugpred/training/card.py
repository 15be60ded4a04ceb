"""Builds the card of a model from the results of a training run."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred import codebook
from drugpred.model_store import Bins, Card, DataCard, WindowCard
from drugpred.training.classification_metrics import base_rates
from drugpred.training.estimators import cumulative_targets, make_pipeline
from drugpred.training.evaluation import reference_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drugpred.data.respondents import Respondents
    from drugpred.training.configuration import Configuration
    from drugpred.training.evaluation import Evaluation

_PACKAGES: Final = ("bentoml", "imbalanced-learn", "numpy", "pandas", "scikit-learn", "skops")

_DIGITS: Final = 4  # more digits would be noise

_MIN_PER_OUTCOME: Final = 100
_MIN_AUC: Final = 0.7
"""A drug and window is reliable with at least this many users and non-users, and an AUC that clinical texts call
acceptable (D. W. Hosmer and S. Lemeshow, Applied Logistic Regression, 2nd edition, 2000, p. 162)."""


def build_card(
    respondents: Respondents, configuration: Configuration, evaluation: Evaluation, run_id: str | None = None
) -> Card:
    """Return the card of the configured model, given its cross-validation; `run_id` is the experiment tracker's."""
    reference = None
    if respondents.source == "uci":
        pipeline, ids = make_pipeline(configuration.make_estimator()), respondents.frame.index.to_numpy()
        reference = reference_split(pipeline, respondents.X, respondents.last_use, ids)
    decade = codebook.DECADE
    probabilities = evaluation.probabilities.mean(axis=0)[:, :, decade]
    return Card(
        data=DataCard(
            source=respondents.source,
            sha256=respondents.sha256,
            respondents=len(respondents),
            overclaimers=configuration.overclaimers,
        ),
        inputs=codebook.INPUTS,
        windows=codebook.WINDOWS,
        drugs=_drugs(evaluation),
        ranked_probability_scores=evaluation.ranked_probability_scores(),
        overall=evaluation.overall(),
        overall_intervals=evaluation.overall_intervals(),
        folds={name: tuple(values.tolist()) for name, values in evaluation.overall_folds().items()},
        reference_split=reference,
        input_bins=_input_bins(respondents.X),
        probability_bins={drug: _bins(probabilities[:, i]) for i, drug in enumerate(codebook.DRUGS)},
        estimator=configuration.estimator.kind,
        configuration=configuration.model_dump(mode="json"),
        seed=configuration.seed,
        versions={"python": platform.python_version()} | {package: version(package) for package in _PACKAGES},
        git_commit=_git_commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        run_id=run_id,
    )


def _drugs(evaluation: Evaluation) -> dict[str, dict[str, WindowCard]]:
    shares, figures, bounds = base_rates(evaluation.last_use), evaluation.figures(), evaluation.intervals()
    users = cumulative_targets(evaluation.last_use).sum(axis=0)
    rarer = np.minimum(users, len(evaluation.last_use) - users)  # the smaller number of users and non-users

    def window(at: tuple[int, int]) -> WindowCard:
        values = {n: round(float(v[at]), _DIGITS) if np.isfinite(v[at]) else None for n, v in figures.items()}
        reliable = rarer[at] >= _MIN_PER_OUTCOME and (values["auc"] or 0.0) >= _MIN_AUC
        share = round(float(shares[at]), _DIGITS)
        known = {n: v[at] for n, v in bounds.items() if np.isfinite(v[at]).all()}
        intervals = {n: tuple(round(float(bound), _DIGITS) for bound in pair) for n, pair in known.items()}
        others = {"base_rate": share, "threshold": share, "intervals": intervals, "reliable": bool(reliable)}
        return WindowCard.model_validate(values | others)

    return {
        drug: {name: window((i, k)) for k, name in enumerate(codebook.WINDOWS)} for i, drug in enumerate(codebook.DRUGS)
    }


def _input_bins(X: NDArray[np.float64]) -> dict[str, Bins]:
    bins = {}
    for i, category in enumerate(codebook.CATEGORIES):
        shares = np.bincount(X[:, i].astype(np.intp), minlength=len(category.labels)) / len(X)
        bins[category.name] = Bins(labels=category.labels, shares=tuple(shares.tolist()))
    for i, score in enumerate(codebook.SCORES, len(codebook.CATEGORIES)):
        bins[score.name] = _bins(X[:, i])
    return bins


def _bins(values: NDArray[np.float64]) -> Bins:
    """Return bins of about a tenth of the values each; a value on an edge belongs to the bin below it."""
    edges = np.unique(np.quantile(values, np.linspace(0.1, 0.9, 9), method="higher"))
    shares = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) / len(values)
    labels = [f"<={edge:.5f}" for edge in edges] + [f">{edges[-1]:.5f}"]
    return Bins(labels=tuple(labels), edges=tuple(edges.tolist()), shares=tuple(shares.tolist()))


def _git_commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
