"""Speed of `drugpred score` on 1, 2, 4 … all cores, compared with polars and with the scikit-learn pipeline.

usage: python -m loadtest.benchmarks.bulk [--rows N M] [--rounds N]

Scores two Parquet files of simulated respondents for all 18 drugs with the newest stored model into a data set, by the
command and in turn with the others:

    polars, copy    copies the rows with one sum more, compressed as by default
    polars, sums    reads the same columns and writes as many bytes of sums: the limit of reading and writing
    pandas          applies the stored scikit-learn pipeline, to a tenth of the rows

Each process has one thread. A line through the two sizes parts the fixed cost, such as imports, from the rate.
Prints medians over the rounds: the fixed seconds, rows per second and per second of CPU beyond them, the ratio of both
rates to those of one core in the same round, and the peak of the largest process's resident memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCORE: Final = ("-c", "from drugpred.cli import main; main()", "score", "{source}", "{folder}/out/")
PEERS: Final = ("-m", "loadtest.benchmarks.bulk_peers")
PANDAS: Final = "pandas, scikit-learn"


MEASURED: Final = """
import ctypes, os, resource, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: processes that outlive their parent become children
start = time.perf_counter()
status = subprocess.call(sys.argv[1:], stdout=sys.stderr)
seconds = time.perf_counter() - start
try:
    while True:
        os.wait()
except ChildProcessError:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(status)
"""
"""Code that runs a command and prints its usage."""


class Usage(NamedTuple):
    """Resources that a command has used, with all its processes."""

    seconds: float
    cpu: float
    memory: float
    """MB of resident memory of its largest process, at the peak."""


class Speed(NamedTuple):
    """A line through the usages for two numbers of rows."""

    fixed: float
    """Seconds for no rows."""
    rate: float
    """Rows per second beyond them."""
    cpu_rate: float
    """Rows per second of CPU beyond those for no rows."""
    memory: float
    """MB, for the more rows."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs=2, default=[1_000_000, 4_000_000], metavar=("N", "M"))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    sizes = sorted(arguments.rows)
    rounds: list[dict[str, Speed]] = []
    with TemporaryDirectory() as folder:
        for rows in {*sizes, *(rows // 10 for rows in sizes)}:
            measure((*PEERS, "people", str(rows), f"{folder}/{rows}.parquet"))
        for _ in range(arguments.rounds):
            rounds.append({})
            for title, command in commands(os.cpu_count() or 1).items():
                two = [rows // 10 if title == PANDAS else rows for rows in sizes]
                rounds[-1][title] = speed(two, [score(command, Path(folder), rows) for rows in two])
    print(table(rounds))


def commands(cores: int) -> dict[str, Sequence[str]]:
    """Return the arguments of Python for each row of the table."""
    several = sorted({2**i for i in range(1, cores.bit_length()) if 2**i < cores} | {cores} - {1})
    scoring = {f"drugpred score, {n} cores": (*SCORE, "--engine", "processes", "--workers", str(n)) for n in several}
    peers = {"polars, copy": "copy", "polars, sums": "sums", PANDAS: "pandas"}
    return {
        "drugpred score, 1 core": SCORE,
        **scoring,
        f"drugpred score, {cores} cores, Dask": (*SCORE, "--engine", "dask"),
        **{title: (*PEERS, name, "{source}", "{folder}/out.parquet") for title, name in peers.items()},
    }


def score(command: Sequence[str], folder: Path, rows: int) -> Usage:
    """Run a command of the table for one of the files."""
    with TemporaryDirectory(dir=folder) as output:
        return measure([part.format(source=folder / f"{rows}.parquet", folder=output) for part in command])


def measure(command: Sequence[str]) -> Usage:
    """Run Python with arguments, and return its usage, or end this program with its error."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}  # pyarrow reads the first one too
    done = subprocess.run(  # noqa: S603 - this very Python
        [sys.executable, "-c", MEASURED, sys.executable, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)}\n{done.stderr}")
    return Usage(*map(float, done.stdout.split()))


def speed(rows: Sequence[int], usages: Sequence[Usage]) -> Speed:
    """Return the line through the usages for two numbers of rows, the lower one first."""
    more = rows[1] - rows[0]
    (first, second) = usages
    per_row = (second.seconds - first.seconds) / more
    cpu_per_row = (second.cpu - first.cpu) / more
    return Speed(first.seconds - rows[0] * per_row, 1 / per_row, 1 / cpu_per_row, second.memory)


def table(rounds: Sequence[Mapping[str, Speed]]) -> str:
    """Return medians over the rounds, and those of the ratios to the first row within each round."""
    lines = [f"{'':32}{'fixed s':>8}{'rows/s':>12}{'ratio':>7}{'rows/CPU s':>12}{'ratio':>7}{'peak MB':>9}"]
    first, *_ = rounds[0]
    for title in rounds[0]:
        speeds = [speeds[title] for speeds in rounds]
        fixed, rate, cpu_rate, memory = map(median, zip(*speeds, strict=True))
        ratio = median(speeds[title].rate / speeds[first].rate for speeds in rounds)
        cpu_ratio = median(speeds[title].cpu_rate / speeds[first].cpu_rate for speeds in rounds)
        lines.append(f"{title:32}{fixed:8.1f}{rate:12,.0f}{ratio:7.2f}{cpu_rate:12,.0f}{cpu_ratio:7.2f}{memory:9,.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
