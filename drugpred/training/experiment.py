"""Shared by `train.py` and `drugpred evaluate`: loading respondents, and cross-validating a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred.data import download
from drugpred.data.respondents import simulate
from drugpred.errors import DataError, DownloadError
from drugpred.training.estimators import make_pipeline
from drugpred.training.evaluation import cross_validate, make_folds

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from sklearn.base import BaseEstimator

    from drugpred.data.respondents import Respondents
    from drugpred.training.configuration import Configuration
    from drugpred.training.evaluation import Evaluation

CURVE: Final = ("decade_auc15", "decade_log_loss")
"""The figures of the learning curve."""

_SHARES: Final = (0.25, 0.5)

MIN_RESPONDENTS: Final = 200  # with fewer, folds would lack users or non-users of nearly every drug


def load_respondents(data: Path | None, config: Configuration, console: Console) -> Respondents:
    """Return the respondents of the file, else of UCI, else simulated ones if the download fails.

    Raises
    ------
    DataError
        The file is malformed, or there are fewer than 200 respondents.
    """
    try:
        respondents = download.load(data)
    except DownloadError as error:
        console.print(f"{error}", highlight=False, markup=False, soft_wrap=True)
        console.print(
            "NO REAL DATA: training on SIMULATED respondents. Give a file with --data or DRUGPRED_DATA.",
            style="bold red",
        )
        return simulate(config.simulated_respondents, config.seed)
    if config.overclaimers == "drop":
        respondents = respondents.without_overclaimers()
    if len(respondents) < MIN_RESPONDENTS:
        raise DataError(f"expected at least {MIN_RESPONDENTS} respondents to train on")
    console.print(f"{len(respondents)} respondents, source: {respondents.source}", highlight=False)
    return respondents


def learning_curve(
    respondents: Respondents, config: Configuration, evaluation: Evaluation
) -> dict[int, dict[str, tuple[float, float, float]]]:
    """Return the figures of `CURVE` with their intervals, by the number of respondents trained on.

    The model is fitted to a half and a quarter of the training rows of each fold of the first repeat, drawn at random,
    and tested on the whole test fold. All training rows are those of the evaluation.
    """
    counts = config.cross_validation
    folds = make_folds(respondents.last_use, counts.folds, 1, config.seed)
    rng = np.random.default_rng(config.seed)
    orders = [(rng.permutation(train), test) for train, test in folds]
    pipeline, curve = make_pipeline(config.make_estimator()), {}
    for share in _SHARES:
        parts = [(order[: round(share * len(order))], test) for order, test in orders]
        label = f"learning from {share:.0%}"
        part = cross_validate(pipeline, respondents.X, respondents.last_use, parts, label=label)
        curve[len(parts[0][0])] = _of_curve(part)
    return curve | {len(folds[0][0]): _of_curve(evaluation)}


def _of_curve(evaluation: Evaluation) -> dict[str, tuple[float, float, float]]:
    values, intervals = evaluation.overall(), evaluation.overall_intervals()
    return {name: (values[name], *intervals[name]) for name in CURVE if name in intervals}


def cross_validate_model(
    respondents: Respondents,
    config: Configuration,
    folder: Path | None = None,
    *,
    estimator: BaseEstimator | None = None,
    threshold: float | None = None,
    label: str = "cross-validating",
) -> Evaluation:
    """Cross-validate the configured model, or another estimator on the same folds; see `cross_validate`."""
    counts = config.cross_validation
    folds = make_folds(respondents.last_use, counts.folds, counts.repeats, config.seed)
    pipeline = make_pipeline(config.make_estimator() if estimator is None else estimator)
    X, last_use = respondents.X, respondents.last_use
    return cross_validate(pipeline, X, last_use, folds, folder, threshold=threshold, label=label)
