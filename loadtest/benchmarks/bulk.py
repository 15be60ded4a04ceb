"""Speed and memory of `drugpred score` on one core.

usage: python -m loadtest.benchmarks.bulk [--rows N ...]

Writes simulated respondents into a Parquet file for each number of rows, and scores all 18 drugs with the newest stored
model in a separate process on one core. Prints rows per second, from the start of reading to the finished file, and the
peak of the process's resident memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from drugpred.codebook import CATEGORIES, INPUTS
from loadtest.harness.payloads import draw

DRAWN = 1_000_000
ROW_GROUP = 100_000

MEASURED = """
import re, sys, time
from io import StringIO
from pathlib import Path
from rich.console import Console
from drugpred import model_store
from drugpred.bulk import run
from drugpred.codebook import DRUGS
stored = model_store.load()
options = run.Options(DRUGS, "decade", "standardized")
start, cpu = time.perf_counter(), time.process_time()
run.score(*map(Path, sys.argv[1:]), stored, options, Console(file=StringIO()))
# Of this process alone: ru_maxrss begins with that of the one that started it.
memory = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(time.perf_counter() - start, time.process_time() - cpu, memory)
"""


def write(path: Path, rows: int) -> None:
    """Write simulated respondents; beyond a million they repeat."""
    columns = dict(zip(INPUTS, draw(min(rows, DRAWN)).T, strict=True))
    for category in CATEGORIES:
        codes = columns[category.name].astype(np.int8)
        columns[category.name] = pa.DictionaryArray.from_arrays(codes, pa.array(category.labels))
    table = pa.table(columns)
    with parquet.ParquetWriter(path, table.schema) as writer:
        for start in range(0, rows, DRAWN):
            writer.write_table(table.slice(0, rows - start), ROW_GROUP)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # pyarrow reads it too
    print(f"{'rows':>12}{'rows/s':>12}{'rows/CPU s':>12}{'peak MB':>10}")
    for rows in parser.parse_args().rows:
        with TemporaryDirectory() as folder:
            path, output = Path(folder, "in.parquet"), Path(folder, "out.parquet")
            write(path, rows)
            command = [sys.executable, "-c", MEASURED, str(path), str(output)]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - this very Python
        seconds, cpu, memory = map(float, done.stdout.split())
        print(f"{rows:12,}{rows / seconds:12,.0f}{rows / cpu:12,.0f}{memory:10.0f}")


if __name__ == "__main__":
    main()
