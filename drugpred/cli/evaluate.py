"""`drugpred evaluate`."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import click

from drugpred.cli.base import Command, FilePath


class _Baselines(click.ParamType[tuple[str, ...]]):
    name = "model"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the named baseline, or all of them for `all`."""
        from drugpred.training.baselines import BASELINES

        if value == "all":
            return tuple(BASELINES)
        if value not in BASELINES:
            self.fail(f"expected one of {', '.join(BASELINES)}, all", param, ctx)
        return (str(value),)


@click.command(
    cls=Command,
    extra="train",
    kept="finished folds are kept in {output}/folds, and the same command continues from there",
)
@click.option(
    "--data",
    type=FilePath(),
    help="Respondents, in the UCI format or as decoded CSV; by default those of train.py.",
)
@click.option(
    "--config",
    type=FilePath(),
    default=Path("configs/train.yaml"),
    show_default=True,
    help="Training configuration: the model and the folds.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("evaluation"),
    show_default=True,
    help="Folder for the tables, and for finished folds, which the next run reuses.",
)
@click.option(
    "--against",
    type=_Baselines(),
    multiple=True,
    help="Compare with another model on the same folds: logistic, forest, boosting, reference or all. May be given "
    "several times.",
)
@click.option("--imbalance", is_flag=True, help="Compare treatments of the imbalance between users and non-users.")
@click.option(
    "--coverage",
    is_flag=True,
    help="Measure how many known probabilities the intervals hold, with simulated respondents.",
)
def evaluate(
    data: Path | None,
    config: Path,
    output: Path,
    against: tuple[tuple[str, ...], ...],
    *,
    imbalance: bool,
    coverage: bool,
) -> None:
    """Cross-validate the configured model like train.py, and write its metrics without storing a model."""
    from rich.console import Console

    from drugpred.training import configuration, evaluation_report

    baselines = tuple(dict.fromkeys(chain.from_iterable(against)))
    evaluation_report.write(
        data,
        configuration.read(config),
        output,
        baselines,
        treatments=imbalance,
        intervals=coverage,
        console=Console(),
    )
    click.echo(f"tables in {click.format_filename(output)}")
