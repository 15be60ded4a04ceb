"""`drugpred score`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drugpred.cli import options
from drugpred.cli.base import Command, FilePath, ended_by_sigpipe

if TYPE_CHECKING:
    from pathlib import Path

    from drugpred.codebook import Drug, Scale, Window
    from drugpred.schemas import ColumnAddition


@click.command(cls=Command, kept="finished parts are kept in {output}.parts, and the same command continues from there")
@click.argument("file", metavar="IN", type=FilePath(exists=True))
@click.argument("output", metavar="OUT", type=FilePath(writable=True))
@options.window
@options.drugs
@options.scale
@click.option(
    "--include",
    type=click.Choice(["interval", "support"]),
    multiple=True,
    help="Also the bounds of each probability, or how many respondents are like the person. May be given twice.",
)
@click.option("--exact", is_flag=True, help="Compute and write in double precision, at half the speed.")
@options.model
@click.option(
    "--engine",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="local uses one core, dask all cores of this machine or a cluster.",
)
@click.option("--cluster", metavar="ADDRESS", help="Address of a Dask scheduler, such as tcp://10.0.0.1:8786.")
@click.pass_context
def score(
    ctx: click.Context,
    file: Path,
    output: Path,
    window: Window,
    drugs: tuple[Drug, ...],
    scale: Scale,
    include: tuple[ColumnAddition, ...],
    exact: bool,
    model: str | None,
    engine: str,
    cluster: str | None,
) -> None:
    """Score every row of IN, and write a column of probabilities for each drug to OUT.

    Both are CSV or Parquet, by their names. IN has the columns of a profile or of the decoded CSV, and optionally an
    id, or is in the UCI format. Rows that cannot be scored are listed in OUT.rejected.csv: line, column and expected
    value. If the command is killed, the same command continues with the finished parts in OUT.parts. An older OUT is
    replaced.

    Exit status: 0 if every row was scored, 3 if some rows were rejected, 2 if nothing could be done.
    """
    from rich.console import Console

    from drugpred import model_store
    from drugpred.bulk import run

    if cluster is not None and engine != "dask":
        raise click.UsageError("--cluster is for --engine dask")
    selection = run.Options(drugs, window, scale, tuple(sorted(set(include))), exact)
    stored = model_store.load(model or model_store.NAME)
    counts = run.score(file, output, stored, selection, Console(stderr=True), engine, cluster)
    with ended_by_sigpipe():
        click.echo(f"{counts.scored} rows scored in {click.format_filename(output)} with {stored.tag}")
        if counts.rejected:
            click.echo(f"{counts.rejected} rows rejected, see {click.format_filename(run.rejected_path(output))}")
            ctx.exit(3)
