"""Train the drug consumption model and put it into the BentoML model store.

usage: python train.py [--data PATH] [--config PATH]
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import skops.io
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from drugpred import bundle
from drugpred.data import source
from drugpred.data.respondents import simulate
from drugpred.errors import DataError, DownloadError, DrugpredError
from drugpred.training import configuration
from drugpred.training.card import make_card
from drugpred.training.estimators import make_pipeline
from drugpred.training.evaluation import cross_validate, reference_split, splits
from drugpred.training.report import render

if TYPE_CHECKING:
    from drugpred.bundle import Card
    from drugpred.data.respondents import Respondents
    from drugpred.training.configuration import Configuration

console = Console()

FEWEST = 200
"""With fewer respondents, folds would lack users or non-users of nearly every drug."""


def main() -> int:
    """Train, evaluate, store. Return 0, or 2 where the data or the configuration is malformed."""
    parser = argparse.ArgumentParser(description="Train the model and put it into the BentoML model store.")
    parser.add_argument("--data", type=Path, help="respondents, in the UCI form or as decoded CSV")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "train.yaml")
    arguments = parser.parse_args()
    try:
        tag = train(arguments.data, configuration.read(arguments.config))
    except DrugpredError as error:
        Console(stderr=True).print(f"error: {error}", style="bold red", highlight=False, markup=False, soft_wrap=True)
        return 2
    console.print(f"stored {tag}; serve it with: bentoml serve", highlight=False)
    return 0


def train(data: Path | None, config: Configuration) -> str:
    """Train on the given file, or on the best data there is, and return the stored model's tag."""
    respondents = load(data, config)
    X, last_use = respondents.X, respondents.last_use
    pipeline = make_pipeline(config.estimator.estimator(config.seed))

    folds = splits(last_use, config.cross_validation.folds, config.cross_validation.repeats, config.seed)
    evaluation = cross_validate(pipeline, X, last_use, folds)
    is_real = respondents.source == "uci"
    reference = reference_split(pipeline, X, last_use, respondents.frame.index.to_numpy()) if is_real else None
    card = make_card(respondents, config, evaluation, reference)
    show(card)

    pipeline.fit(X, last_use)
    network = io.BytesIO()
    np.savez_compressed(network, **pipeline[-1].arrays())
    return bundle.write(skops.io.dumps(pipeline), network.getvalue(), card, render(card, evaluation))


def load(data: Path | None, config: Configuration) -> Respondents:
    """Return the respondents to train on: of the file, of UCI, or simulated where neither can be had."""
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


def show(card: Card) -> None:
    """Print what cross-validation found."""
    figures = {
        "base_rate": "base rate",
        "auc": "AUC",
        "sensitivity": "sens.",
        "specificity": "spec.",
        "log_loss": "log-loss",
        "calibration_error": "calib. error",
    }
    for window in ("decade", "year"):
        table = Table(title=f"use within a {window}, cross-validated", box=SIMPLE_HEAD, padding=0)  # fits 80 columns
        table.add_column("drug", no_wrap=True)
        for heading in figures.values():
            table.add_column(heading, justify="right", no_wrap=True)
        for drug, windows in card.drugs.items():
            values = windows[window].model_dump()
            table.add_row(drug, *("-" if values[name] is None else f"{values[name]:.3f}" for name in figures))
        console.print(table)
    table = Table("overall", "value", title="headline figures", box=SIMPLE_HEAD)
    reference = {f"reference_split_{name}": value for name, value in (card.reference_split or {}).items()}
    for name, value in (card.overall | reference).items():
        table.add_row(name.replace("_", " "), f"{value:.4f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
