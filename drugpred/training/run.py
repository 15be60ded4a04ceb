"""What `train.py` and `drugpred evaluate` have in common: the respondents, and the evaluation of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drugpred.data import source
from drugpred.data.respondents import simulate
from drugpred.errors import DataError, DownloadError
from drugpred.training.card import make_card
from drugpred.training.estimators import make_pipeline
from drugpred.training.evaluation import cross_validate, reference_split, splits

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from sklearn.pipeline import Pipeline

    from drugpred.data.respondents import Respondents
    from drugpred.model_store import Card
    from drugpred.training.configuration import Configuration
    from drugpred.training.evaluation import Evaluation, Split

__all__ = ["FEWEST", "carded", "cross_validated", "folds_of", "load", "pipeline_of"]

FEWEST: Final = 200
"""With fewer respondents, folds would lack users or non-users of nearly every drug."""


def load(data: Path | None, config: Configuration, console: Console) -> Respondents:
    """Return the respondents of a run: of the file, of UCI, or simulated where neither can be had.

    Raises
    ------
    DataError
        The file is malformed, or there are fewer than 200 respondents.
    """
    try:
        respondents = source.load(data)
    except DownloadError as error:
        console.print(f"{error}", highlight=False, markup=False, soft_wrap=True)
        console.print(
            "NO REAL DATA: training on SIMULATED respondents. Give a file with --data or DRUGPRED_DATA.",
            style="bold red",
        )
        return simulate(config.simulated_respondents, config.seed)
    if config.overclaimers == "drop":
        respondents = respondents.without_overclaimers()
    if len(respondents) < FEWEST:
        raise DataError(f"expected at least {FEWEST} respondents to train on")
    console.print(f"{len(respondents)} respondents, source: {respondents.source}", highlight=False)
    return respondents


def pipeline_of(config: Configuration) -> Pipeline:
    """Return the configured pipeline, not yet fitted."""
    return make_pipeline(config.estimator.estimator(config.seed))


def folds_of(respondents: Respondents, config: Configuration) -> list[Split]:
    """Return the configured folds; every model that is compared has the same."""
    counts = config.cross_validation
    return splits(respondents.last_use, counts.folds, counts.repeats, config.seed)


def cross_validated(respondents: Respondents, config: Configuration, folder: Path | None = None) -> Evaluation:
    """Cross-validate the configured model; finished folds are kept in the folder, see `cross_validate`."""
    pipeline = pipeline_of(config)
    folds = folds_of(respondents, config)
    return cross_validate(pipeline, respondents.X, respondents.last_use, folds, folder)


def carded(respondents: Respondents, config: Configuration, evaluation: Evaluation, run_id: str | None = None) -> Card:
    """Return the card of the configured model, which was cross-validated; `run_id` is the experiment tracker's."""
    reference = None
    if respondents.source == "uci":
        pipeline, ids = pipeline_of(config), respondents.frame.index.to_numpy()
        reference = reference_split(pipeline, respondents.X, respondents.last_use, ids)
    return make_card(respondents, config, evaluation, reference, run_id)
