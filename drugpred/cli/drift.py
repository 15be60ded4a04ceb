"""`drugpred drift`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from drugpred.cli import options
from drugpred.cli.base import Command, FilePath, ended_by_sigpipe
from drugpred.errors import DataError


@click.command(cls=Command)
@click.argument("file", type=FilePath(exists=True))
@click.option(
    "--output",
    type=FilePath(writable=True),
    help="Also write a plot, .html or .svg.",
)
@options.model
@click.option("--json", "as_json", is_flag=True, help="Print JSON: figures, and the shares of each bin.")
@click.pass_context
def drift(ctx: click.Context, file: Path, output: Path | None, model: str | None, *, as_json: bool) -> None:
    """Measure the drift of the profiles in FILE from the training data of a model.

    FILE is CSV or Parquet, by its name, with the columns of a profile or of the decoded CSV, or in the UCI format.
    Invalid rows are left out; they count as drift if a value is missing, or invalid, more often than by chance.

    Exit status: 0 if there is no drift, 3 if there is, 2 if it cannot be measured.
    """
    from rich.console import Console

    from drugpred import model_store
    from drugpred.bulk import drift as file_drift
    from drugpred.bulk import drift_plot
    from drugpred.data.files import path_text, same_file

    if output is not None and same_file(file, output):
        raise click.UsageError("expected a plot other than FILE")
    if output is not None and output.suffix.lower() not in drift_plot.PICTURES:
        raise click.UsageError(f"expected an --output ending in {' or '.join(drift_plot.PICTURES)}")
    stored = model_store.load(model or model_store.NAME)
    measured = file_drift.measure(file, stored)
    if output is not None:
        drift_plot.write(output, f"{path_text(Path(file.name))} against {stored.tag}", stored.card, measured)
    with ended_by_sigpipe():
        if as_json:
            click.echo(json.dumps(file_drift.report(measured, stored)))
        else:
            Console(soft_wrap=True).print(file_drift.table(measured))
            click.echo(file_drift.MEANING)
            click.echo(f"{file_drift.headline(measured)}, against {stored.tag}")
            if measured.rejected:
                click.echo(f"{measured.rejected} invalid rows left out")
            if output is not None:
                click.echo(f"plot in {click.format_filename(output)}")
    if measured.drifted is None:
        raise DataError(f"expected at least {measured.drift.fewest} profiles")
    ctx.exit(3 if measured.drifted else 0)
