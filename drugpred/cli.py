"""The `drugpred` command."""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import track

from drugpred import __version__
from drugpred.data.cohort import CHUNK, Cohort
from drugpred.data.respondents import simulated_frame, write_csv

__all__ = ["main"]


@click.group()
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
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            chunks = Cohort.load().draw(rows, seed)
            for i, (inputs, last_use) in enumerate(track(chunks, "simulating", total=-(-rows // CHUNK))):
                write_csv(simulated_frame(inputs, last_use, first=i * CHUNK + 1), file, header=i == 0)
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from error
    click.echo(f"{rows} simulated respondents in {output}")
