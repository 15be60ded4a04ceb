"""`drugpred drift`."""

from __future__ import annotations

from pathlib import Path

import click

from drugpred.cli.base import Command, FilePath, ended_by_sigpipe
from drugpred.errors import DataError


@click.command(cls=Command)
@click.argument("file", type=FilePath(exists=True))
@click.option(
    "--output",
    type=FilePath(writable=True),
    help="A picture to write besides, .html or .svg.",
)
@click.pass_context
def drift(ctx: click.Context, file: Path, output: Path | None) -> None:
    """Measure how far the profiles of FILE have moved from the respondents that the newest model was trained on.

    FILE is CSV or Parquet, by its name, with the columns of a profile or of the decoded CSV, or in the UCI form. Rows
    that are no possible profile are left out, and are drift of their own if a value is missing, or not possible, more
    often than by chance.

    Exits with 0 if there is no drift, with 3 if there is, and with 2 if it cannot be measured.
    """
    from rich.console import Console

    from drugpred import model_store
    from drugpred.bulk import drift as file_drift
    from drugpred.bulk import drift_plot
    from drugpred.data.files import path_text, same_file

    if output is not None and same_file(file, output):
        raise click.UsageError("expected another file for the picture than FILE")
    if output is not None and output.suffix.lower() not in drift_plot.PICTURES:
        raise click.UsageError(f"expected an --output that ends in {' or '.join(drift_plot.PICTURES)}")
    stored = model_store.load()
    measured = file_drift.measure(file, stored)
    if output is not None:
        drift_plot.write(output, f"{path_text(Path(file.name))} against {stored.tag}", stored.card, measured)
    with ended_by_sigpipe():
        Console(soft_wrap=True).print(file_drift.table(measured))
        click.echo(f"{file_drift.headline(measured)}, against {stored.tag}")
        if measured.rejected:
            click.echo(f"{measured.rejected} rows left out, which are no possible profile")
        if output is not None:
            click.echo(f"picture in {click.format_filename(output)}")
    if measured.drifted is None:
        raise DataError(f"expected {measured.drift.fewest} profiles or more")
    ctx.exit(3 if measured.drifted else 0)
