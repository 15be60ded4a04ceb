"""`drugpred compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

import click

from drugpred.cli.base import Command, FilePath, ended_by_sigpipe
from drugpred.codebook import DECADE, WINDOWS, Window

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.argument("model")
@click.argument("challenger")
@click.argument("file", type=FilePath(exists=True))
@click.option(
    "--window", type=click.Choice(get_args(Window)), default=WINDOWS[DECADE], show_default=True, help="Time of use."
)
def compare(model: str, challenger: str, file: Path, window: str) -> None:
    """Compare the predictions of MODEL and CHALLENGER, two stored models, for the people in FILE.

    FILE is CSV or Parquet, by its name, with the columns of a profile or of the decoded CSV, or in the UCI format. If
    it has the use of all drugs, the losses are compared too; the people should be others than those trained on.
    """
    from rich.console import Console

    from drugpred import model_store
    from drugpred.bulk import comparison

    served, other = (model_store.load(tag) for tag in (model, challenger))
    compared = comparison.compare(file, served, other, cast("Window", window))
    with ended_by_sigpipe():
        Console(soft_wrap=True).print(comparison.table(compared))
        click.echo(f"{compared.people} people, use within: {window}; {other.tag} against {served.tag}")
        if compared.rejected:
            click.echo(f"{compared.rejected} invalid rows left out")
        for name, of in (("Brier score", compared.brier), ("log-loss", compared.log_loss)):
            if of is not None:
                click.echo(comparison.verdict(name, of))
