"""The `drugpred` command. Each command imports its libraries when it runs, because some take seconds."""

from __future__ import annotations

import codecs
import math
import os
import signal
import sys
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drugpred import __version__
from drugpred.codebook import DRUGS, WINDOWS
from drugpred.errors import DataError, MissingPackageError, ending, needs

try:
    with needs("bulk"):
        import click
        from rich.console import Console
        from rich.progress import track
except MissingPackageError as missing:
    sys.stderr.write(f"Error: {missing}\n")
    sys.exit(missing.exit_code)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO, Literal

    from drugpred.codebook import Drug, Window


_File = partial(click.Path, dir_okay=False, path_type=Path)


class _Ended(click.ClickException):
    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.exit_code = exit_code  # type: ignore[misc]  # click has one exit code for each class


class _Command(click.Command):
    """A command that reports an error in one line, with exit status 2, or 130 if it was interrupted.

    Parameters
    ----------
    extra : str
        Extra of this package that the command needs.
    kept : str
        What an interrupted command keeps, and how to continue; may name its parameters in braces.
    """

    def __init__(self, *, extra: str = "bulk", kept: str = "no file was changed", **others: Any) -> None:  # noqa: ANN401
        super().__init__(**others)
        self._extra, self._kept = extra, kept

    def make_context(self, *args: Any, **others: Any) -> click.Context:  # noqa: ANN401 - click's
        """Parse the options."""
        with self._errors_in_a_line({}):
            return super().make_context(*args, **others)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        with self._errors_in_a_line(ctx.params):
            return super().invoke(ctx)

    @contextmanager
    def _errors_in_a_line(self, parameters: Mapping[str, Any]) -> Iterator[None]:
        try:
            with needs(self._extra):
                yield
        except BaseException as error:
            named = {name: click.format_filename(v) if isinstance(v, Path) else v for name, v in parameters.items()}
            ended = ending(error, self._kept.format_map(named) if named else self._kept, named.get("output"))
            if ended is None:
                raise
            raise _Ended(*ended) from error


class _Commands(click.Group):
    command_class = _Command


@click.group(cls=_Commands)
@click.version_option(__version__)
def main() -> None:
    """Work with the drug consumption model from the command line."""


class _Shift(click.ParamType[tuple[str, float]]):
    name = "shift"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Parse a name, which may be followed by an equals sign and a strength."""
        from drugpred.data.distribution_shift import LABEL_NOISE, MAX_STRENGTH, SHIFTS

        name, _, text = str(value).partition("=")
        if name not in SHIFTS:
            self.fail(f"expected one of {', '.join(SHIFTS)}", param, ctx)
        try:
            strength = float(text or 0.5)
        except ValueError:
            strength = math.nan
        lowest, highest = (0.0, 1.0) if name == LABEL_NOISE else (-MAX_STRENGTH, MAX_STRENGTH)
        if not lowest <= strength <= highest:
            self.fail(f"expected a number from {lowest:g} to {highest:g} after {name}=", param, ctx)
        return name, strength


@contextmanager
def _ended_by_sigpipe() -> Iterator[None]:
    """End by SIGPIPE, like cat, if standard output is closed."""
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


@contextmanager
def _stdout() -> Iterator[BinaryIO]:
    with _ended_by_sigpipe():
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()


def _is_stdout(path: Path) -> bool:
    """Return whether a path names standard output: -, /dev/stdout, or the file that it is redirected to."""
    try:
        return str(path) == "-" or os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


@main.command(extra="train")
@click.option("--rows", type=click.IntRange(min=1), required=True, help="Number of respondents.")
@click.option("--seed", type=click.IntRange(min=0), default=42, show_default=True, help="Seed of the random numbers.")
@click.option(
    "--output",
    type=_File(writable=True, allow_dash=True),
    default=Path("simulated.csv"),
    show_default=True,
    help="Output file, as decoded CSV; - is standard output.",
)
@click.option(
    "--shift",
    "shifts",
    type=_Shift(),
    metavar="NAME[=STRENGTH]",
    multiple=True,
    help="Shift the cohort: any input, older, impulsive, or label-noise. STRENGTH is in standard deviations; for "
    "label-noise it is a probability; default 0.5. May be given several times.",
)
def simulate(rows: int, seed: int, output: Path, shifts: tuple[tuple[str, float], ...]) -> None:
    """Draw respondents from the simulated cohort and write them as CSV for train.py."""
    from drugpred.data.distribution_shift import draw
    from drugpred.data.files import open_output
    from drugpred.data.respondents import simulated_frame, write_csv
    from drugpred.data.simulator import CHUNK_ROWS

    to_stdout = _is_stdout(output)
    with _stdout() if to_stdout else open_output(output) as file:
        text = codecs.getwriter("utf-8")(file)
        chunks = draw(rows, seed, dict(shifts))
        steps = track(chunks, "simulating", total=-(-rows // CHUNK_ROWS), console=Console(stderr=True))
        for i, (inputs, last_use) in enumerate(steps):
            write_csv(simulated_frame(inputs, last_use, first=i * CHUNK_ROWS + 1), text, header=i == 0)
    where = "standard output" if to_stdout else click.format_filename(output)
    click.echo(f"{rows} simulated respondents in {where}", err=to_stdout)


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


@main.command(
    extra="train", kept="finished folds are kept in {output}/folds, and the same command continues from there"
)
@click.option(
    "--data",
    type=_File(),
    help="Respondents, in the UCI format or as decoded CSV; by default those of train.py.",
)
@click.option(
    "--config",
    type=_File(),
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
def evaluate(
    data: Path | None, config: Path, output: Path, against: tuple[tuple[str, ...], ...], imbalance: bool
) -> None:
    """Cross-validate the configured model like train.py, and write its metrics without storing a model."""
    from drugpred.training import configuration, evaluation_report

    baselines = tuple(dict.fromkeys(chain.from_iterable(against)))
    evaluation_report.write(
        data, configuration.read(config), output, baselines, treatments=imbalance, console=Console()
    )


class _Drugs(click.ParamType[tuple[str, ...]]):
    name = "drugs"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Parse names separated by commas."""
        named = value if isinstance(value, tuple) else tuple(name.strip() for name in str(value).split(","))
        if not set(named) <= set(DRUGS):
            self.fail(f"expected some of {','.join(DRUGS)}", param, ctx)
        return tuple(dict.fromkeys(named))


@main.command(kept="finished parts are kept in {output}.parts, and the same command continues from there")
@click.argument("file", metavar="IN", type=_File(exists=True))
@click.argument("output", metavar="OUT", type=_File(writable=True))
@click.option("--window", type=click.Choice(WINDOWS), default="decade", show_default=True, help="Time window of use.")
@click.option("--drugs", type=_Drugs(), default=DRUGS, show_default="all", help="Drugs to score, separated by commas.")
@click.option(
    "--scale",
    type=click.Choice(["standardized", "raw"]),
    default="standardized",
    show_default=True,
    help="Scale of the five NEO scores: as published, or raw totals.",
)
@click.option("--model", metavar="TAG", help="Tag of a stored model; by default the newest.")
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
    scale: Literal["standardized", "raw"],
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
    from drugpred import model_store
    from drugpred.bulk import run

    if cluster is not None and engine != "dask":
        raise click.UsageError("--cluster is for --engine dask")
    options = run.Options(drugs, window, scale)
    stored = model_store.load(model or model_store.NAME)
    counts = run.score(file, output, stored, options, Console(stderr=True), engine, cluster)
    with _ended_by_sigpipe():
        click.echo(f"{counts.scored} rows scored in {click.format_filename(output)} with {stored.tag}")
        if counts.rejected:
            click.echo(f"{counts.rejected} rows rejected, see {click.format_filename(run.rejected_path(output))}")
            ctx.exit(3)


@main.command()
@click.argument("file", type=_File(exists=True))
@click.option(
    "--output",
    type=_File(writable=True),
    help="Also write a plot, .html or .svg.",
)
@click.pass_context
def drift(ctx: click.Context, file: Path, output: Path | None) -> None:
    """Measure the drift of the profiles in FILE from the training data of the newest model.

    FILE is CSV or Parquet, by its name, with the columns of a profile or of the decoded CSV, or in the UCI format.
    Invalid rows are left out; they count as drift if a value is missing, or invalid, more often than by chance.

    Exit status: 0 if there is no drift, 3 if there is, 2 if it cannot be measured.
    """
    from drugpred import model_store
    from drugpred.bulk import drift as file_drift
    from drugpred.bulk import drift_plot
    from drugpred.data.files import path_text, same_file

    if output is not None and same_file(file, output):
        raise click.UsageError("expected a plot other than FILE")
    if output is not None and output.suffix.lower() not in drift_plot.PICTURES:
        raise click.UsageError(f"expected an --output ending in {' or '.join(drift_plot.PICTURES)}")
    stored = model_store.load()
    measured = file_drift.measure(file, stored)
    if output is not None:
        drift_plot.write(output, f"{path_text(Path(file.name))} against {stored.tag}", stored.card, measured)
    with _ended_by_sigpipe():
        Console(soft_wrap=True).print(file_drift.table(measured))
        click.echo(f"{file_drift.headline(measured)}, against {stored.tag}")
        if measured.rejected:
            click.echo(f"{measured.rejected} invalid rows left out")
    if measured.drifted is None:
        raise DataError(f"expected at least {measured.drift.fewest} profiles")
    ctx.exit(3 if measured.drifted else 0)


@main.command()
@click.argument("tag", required=False)
def report(tag: str | None) -> None:
    """Open the report of a stored model in the browser: of TAG, or of the newest model."""
    from drugpred import model_store

    page = model_store.load(tag or model_store.NAME).path / "report" / "index.html"
    click.echo(page)
    click.launch(str(page))
