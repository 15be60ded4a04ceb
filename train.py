"""Train the drug consumption model and put it into the BentoML model store.

usage: python train.py [--data PATH] [--config PATH] [--track] [--force]
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import skops.io
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from drugpred import bundle
from drugpred.errors import DrugpredError
from drugpred.predictor import Predictor, pack
from drugpred.training import configuration, gate
from drugpred.training.background import make_background
from drugpred.training.report import render
from drugpred.training.run import carded, cross_validated, load, pipeline_of
from drugpred.training.tracking import tracked

if TYPE_CHECKING:
    from drugpred.bundle import Card
    from drugpred.training.configuration import Configuration
    from drugpred.training.tracking import Run

console = Console()


def main() -> int:
    """Train, evaluate, store.

    Return 0, or 2 where the data or the configuration is malformed, or 3 where the gate refuses the model.
    """
    parser = argparse.ArgumentParser(description="Train the model and put it into the BentoML model store.")
    parser.add_argument("--data", type=Path, help="respondents, in the UCI form or as decoded CSV")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "train.yaml")
    parser.add_argument(
        "--track", action="store_true", help="keep the run in MLflow (mlflow.db, or MLFLOW_TRACKING_URI)"
    )
    parser.add_argument("--force", action="store_true", help="store the model even if it is worse than the newest one")
    arguments = parser.parse_args()
    try:
        config = configuration.read(arguments.config)
        with tracked(config) if arguments.track else nullcontext() as run:
            train(arguments.data, config, run, force=arguments.force)
    except DrugpredError as error:
        Console(stderr=True).print(f"error: {error}", style="bold red", highlight=False, markup=False, soft_wrap=True)
        return 3 if isinstance(error, gate.GateError) else 2
    return 0


def train(data: Path | None, config: Configuration, run: Run | None, *, force: bool) -> None:
    """Train on the given file, or on the best data there is, and store the model where the gate lets it through."""
    respondents = load(data, config, console)
    evaluation = cross_validated(respondents, config)
    card = carded(respondents, config, evaluation, run.id if run else None)
    show(card)
    if run:
        run.evaluated(card)

    with gate.turn():
        if not force:
            tell(gate.check(card, config, partial(cross_validated, respondents)))
        pipeline = pipeline_of(config).fit(respondents.X, respondents.last_use)
        network = pack(pipeline[-1].arrays())
        report = render(card, evaluation, respondents.X, pipeline.predict_proba)
        background = make_background(Predictor(**pipeline[-1].arrays()))
        tag = bundle.write(skops.io.dumps(pipeline), network, background, card, report)
    tell(f"stored {tag}; serve it with: bentoml serve")
    if run:
        run.stored(tag, pipeline, card, report)
        tell(f"tracked as MLflow run {run.id}")


def tell(line: str) -> None:
    """Print a line as it is."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


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
