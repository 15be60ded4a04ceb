"""What `train.py` does once its options are known to be right."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import skops.io
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from drugpred import model_store
from drugpred.predictor import Predictor, to_npz
from drugpred.training import configuration, gate
from drugpred.training.background import make_background
from drugpred.training.kept import check_writable
from drugpred.training.report import render
from drugpred.training.run import carded, cross_validated, load, pipeline_of
from drugpred.training.tracking import tracked

if TYPE_CHECKING:
    from drugpred.model_store import Card
    from drugpred.training.configuration import Configuration
    from drugpred.training.tracking import Run

__all__ = ["run"]

console = Console()


def run(data: Path | None, config: Path, *, track: bool, force: bool) -> None:
    """Train, evaluate, store.

    Parameters
    ----------
    data : pathlib.Path, optional
        Respondents; without it, the best data there is.
    config : pathlib.Path
    track : bool
        Whether MLflow keeps the run.
    force : bool
        Whether to store a model that the gate would refuse.

    Raises
    ------
    DrugpredError
        The data or the configuration is malformed, the model could not be stored, or the gate refuses it.
    """
    model_store.disable_telemetry()
    read = configuration.read(config)
    # Before minutes of work. BentoML makes a model in the folder of temporary files, and then copies it.
    for folder in (model_store.home() / "models", Path(tempfile.gettempdir())):
        check_writable(folder)
    with tracked(read) if track else nullcontext() as of_mlflow:
        _train(data, read, of_mlflow, force=force)


def _train(data: Path | None, config: Configuration, run: Run | None, *, force: bool) -> None:
    respondents = load(data, config, console)
    evaluation = cross_validated(respondents, config)
    card = carded(respondents, config, evaluation, run.id if run else None)
    _show(card)
    if run:
        run.evaluated(card)

    with gate.turn():
        if not force:
            _say(gate.check(card, config, partial(cross_validated, respondents)))
        pipeline = pipeline_of(config).fit(respondents.X, respondents.last_use)
        network = to_npz(pipeline[-1].arrays())
        report = render(card, evaluation, respondents.X, pipeline.predict_proba)
        background = make_background(Predictor(**pipeline[-1].arrays()))
        tag = model_store.write(skops.io.dumps(pipeline), network, background, card, report)
    _say(f"stored {tag}; serve it with: bentoml serve")
    if run:
        run.stored(tag, pipeline, card, report)
        _say(f"tracked as MLflow run {run.id}")


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _show(card: Card) -> None:
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
