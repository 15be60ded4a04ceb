"""The `drugpred` command. What a command needs is imported when it runs, because training libraries take seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import track

from drugpred import __version__
from drugpred.errors import DrugpredError

__all__ = ["main"]

PEERS: Final = ("logistic", "forest", "boosting", "reference")


class _Refusal(click.ClickException):
    exit_code = 2


class _Commands(click.Group):
    """Commands that tell the project's own errors in a line and then exit with 2, as train.py does."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was given."""
        try:
            return super().invoke(ctx)
        except DrugpredError as error:
            raise _Refusal(str(error)) from error


@click.group(cls=_Commands)
@click.version_option(__version__)
def main() -> None:
    """Work with the drug consumption model from the command line."""


@main.command()
@click.option("--rows", type=click.IntRange(min=1), required=True, help="How many respondents to draw.")
@click.option("--seed", type=click.IntRange(min=0), default=42, show_default=True, help="The same draws the same.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default=Path("simulated.csv"),
    show_default=True,
    help="The file to write, in the form of the decoded CSV.",
)
def simulate(rows: int, seed: int, output: Path) -> None:
    """Draw respondents from the simulated cohort and write them as a CSV that train.py takes."""
    from drugpred.data.cohort import CHUNK, Cohort
    from drugpred.data.respondents import simulated_frame, write_csv

    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            chunks = Cohort.load().draw(rows, seed)
            for i, (inputs, last_use) in enumerate(track(chunks, "simulating", total=-(-rows // CHUNK))):
                write_csv(simulated_frame(inputs, last_use, first=i * CHUNK + 1), file, header=i == 0)
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from error
    click.echo(f"{rows} simulated respondents in {output}")


@main.command()
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Respondents, in the UCI form or as decoded CSV; without it, those that train.py takes.",
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("configs/train.yaml"),
    show_default=True,
    help="The configuration of train.py: the model and the folds.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("evaluation"),
    show_default=True,
    help="Folder for the tables, and for finished folds, which the next run finds again.",
)
@click.option(
    "--against",
    type=click.Choice([*PEERS, "all"]),
    multiple=True,
    help="Compare with another model on the same folds; may be given several times.",
)
@click.option("--imbalance", is_flag=True, help="Compare ways to treat the imbalance of users and non-users.")
def evaluate(data: Path | None, config: Path, output: Path, against: tuple[str, ...], imbalance: bool) -> None:
    """Cross-validate the configured model as train.py does, and store nothing but the figures."""
    from drugpred.training import configuration, evidence

    peers = PEERS if "all" in against else tuple(dict.fromkeys(against))
    try:
        evidence.gather(data, configuration.read(config), output, peers, treatments=imbalance, console=Console())
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from error


@main.command()
@click.argument("tag", required=False)
def report(tag: str | None) -> None:
    """Open the report of a stored model in the browser: of the newest one, or of TAG."""
    from drugpred import bundle

    page = bundle.read(bundle.find(tag or bundle.NAME)).path / "report" / "index.html"
    click.echo(page)
    click.launch(str(page))
