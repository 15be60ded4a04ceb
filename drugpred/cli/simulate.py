"""`drugpred simulate`."""

from __future__ import annotations

import codecs
import math
from pathlib import Path

import click

from drugpred.cli.base import Command, FilePath, is_stdout, stdout


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


@click.command(cls=Command, extra="train")
@click.option("--rows", type=click.IntRange(min=1), required=True, help="Number of respondents.")
@click.option("--seed", type=click.IntRange(min=0), default=42, show_default=True, help="Seed of the random numbers.")
@click.option(
    "--output",
    type=FilePath(writable=True, allow_dash=True),
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
    from rich.console import Console
    from rich.progress import track

    from drugpred.data.distribution_shift import draw
    from drugpred.data.files import open_output
    from drugpred.data.respondents import simulated_frame, write_csv
    from drugpred.data.simulator import CHUNK_ROWS

    to_stdout = is_stdout(output)
    with stdout() if to_stdout else open_output(output) as file:
        text = codecs.getwriter("utf-8")(file)
        chunks = draw(rows, seed, dict(shifts))
        steps = track(chunks, "simulating", total=-(-rows // CHUNK_ROWS), console=Console(stderr=True))
        for i, (inputs, last_use) in enumerate(steps):
            write_csv(simulated_frame(inputs, last_use, first=i * CHUNK_ROWS + 1), text, header=i == 0)
    where = "standard output" if to_stdout else click.format_filename(output)
    click.echo(f"{rows} simulated respondents in {where}", err=to_stdout)
