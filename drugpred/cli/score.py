"""`drugpred score`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drugpred.cli import options
from drugpred.cli.base import Command, ended_by_sigpipe

if TYPE_CHECKING:
    from drugpred.bulk.executors import Engine
    from drugpred.codebook import Drug, Scale, Window
    from drugpred.schemas import ColumnAddition


@click.command(cls=Command, kept="finished parts are kept, and the same command continues with the others")
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path())
@click.argument("output", metavar="OUT", type=click.Path(writable=True))
@options.window
@options.drugs
@options.scale
@click.option(
    "--include",
    type=click.Choice(["interval", "support"]),
    multiple=True,
    help="Also the bounds of each probability, or how many respondents are like the person. May be given twice.",
)
@click.option(
    "--keep", metavar="COLUMN", multiple=True, help="A column of IN that OUT has too. May be given repeatedly."
)
@click.option("--exact", is_flag=True, help="Compute and write in double precision, at half the speed.")
@options.model
@click.option(
    "--engine",
    type=click.Choice(["local", "processes", "dask"]),
    default="local",
    show_default=True,
    help="local uses one core, processes all cores of this machine, dask those of a cluster or of this machine.",
)
@click.option(
    "--workers", metavar="N", type=click.IntRange(1), help="Number of processes; by default one for each core."
)
@click.option("--cluster", metavar="ADDRESS", help="Address of a Dask scheduler, such as tcp://10.0.0.1:8786.")
@click.option("--overwrite", is_flag=True, help="Replace an older OUT.")
@click.option("--dry-run", is_flag=True, help="Only check IN and OUT, and count the parts and the rows.")
@click.pass_context
def score(
    ctx: click.Context,
    inputs: tuple[str, ...],
    output: str,
    window: Window,
    drugs: tuple[Drug, ...],
    scale: Scale,
    include: tuple[ColumnAddition, ...],
    exact: bool,
    keep: tuple[str, ...],
    model: str | None,
    engine: Engine,
    workers: int | None,
    cluster: str | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Score every row of IN, and write a column of probabilities for each drug to OUT.

    IN are files, folders or quoted patterns, as paths or URLs (s3, gs, abfs, hdfs, http): CSV or Parquet, by their
    names. They have the columns of a profile or of the decoded CSV, and optionally an id, or are in the UCI format. OUT
    is a CSV or Parquet file; or a data set of Parquet if it is a folder, or a path or URL that ends in a slash. Rows
    that cannot be scored are listed in OUT.rejected.csv, or for a data set in the folder OUT.rejected: line, column and
    expected value. If the command is killed, the same command continues with the parts that are not finished.

    Exit status: 0 if every row was scored, 3 if some rows were rejected, 2 if nothing could be done.
    """
    if cluster is not None and engine != "dask":
        raise click.UsageError("--cluster is for --engine dask")
    if workers is not None and (engine == "local" or cluster is not None):
        raise click.UsageError("--workers is for the processes of this machine: --engine processes or dask")
    from drugpred.bulk import executors

    if engine != "local" and cluster is None and not dry_run:
        executors.context(engine)  # its first process imports packages while this one does
    from rich.console import Console

    from drugpred import model_store
    from drugpred.bulk import run
    from drugpred.bulk.storage import parse

    selection = run.Options(drugs, window, scale, tuple(sorted(set(include))), tuple(dict.fromkeys(keep)), exact)
    stored = model_store.load(model or model_store.NAME)
    planned = run.plan(inputs, output, stored, selection)
    if dry_run:
        run.check(planned.sink, overwrite)
        click.echo(f"{len(planned.files)} files with {len(planned.tasks)} parts and {planned.rows} rows can be scored")
        return
    console = Console(stderr=True)
    before = _age()
    done = run.score(planned, console, engine, cluster, workers, overwrite)
    rate = f" ({done.rows / done.work:,.0f} rows/s)" if done.rows else ""
    console.print(f"{before + done.start:.1f} s to start, {done.work:.1f} s to score{rate}, {done.end:.1f} s to end")
    file = parse(output)
    name = click.format_filename(output) if isinstance(file, Path) else str(file)
    with ended_by_sigpipe():
        click.echo(f"{done.scored} rows scored in {name} with {stored.tag}")
        if done.rejected:
            rejected = name.rstrip("/") + planned.sink.rejected.removeprefix(planned.sink.name)
            click.echo(f"{done.rejected} rows rejected, see {rejected}")
            click.echo(f"faults: {', '.join(f'{count} of {name}' for name, count in done.faults.items())}")
            ctx.exit(3)


def _age() -> float:
    """Return the seconds since this process began."""
    import psutil

    begun: float = psutil.Process().create_time()
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return time.time() - begun
    # By the clock of the boot: psutil adds its time in whole seconds.
    since_boot: float = begun - psutil.boot_time()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot
