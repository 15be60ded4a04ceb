"""Programs that `loadtest.benchmarks.bulk` runs, each in a process of its own.

usage: python -m loadtest.benchmarks.bulk_peers people ROWS OUT
       python -m loadtest.benchmarks.bulk_peers copy IN OUT
       python -m loadtest.benchmarks.bulk_peers sums IN OUT
       python -m loadtest.benchmarks.bulk_peers pandas IN OUT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from drugpred.codebook import CATEGORIES, DECADE, DRUGS, INPUTS, SCORES

_DRAWN: Final = 1_000_000
_GROUP: Final = 100_000


def people(rows: int, path: Path) -> None:
    """Write simulated respondents; beyond a million they repeat."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    from loadtest.harness.payloads import draw

    columns = dict(zip(INPUTS, draw(min(rows, _DRAWN)).T, strict=True))
    for category in CATEGORIES:
        codes = columns[category.name].astype(np.int8)
        columns[category.name] = pa.DictionaryArray.from_arrays(codes, pa.array(category.labels))
    table = pa.table(columns)
    with parquet.ParquetWriter(path, table.schema) as writer:
        for start in range(0, rows, _DRAWN):
            writer.write_table(table.slice(0, rows - start), _GROUP)


def copy(source: Path, output: Path) -> None:
    """Copy the rows, with one sum more, as polars does by default."""
    import polars as pl

    total = (pl.col("neuroticism") + pl.col("extraversion")).alias("sum")
    pl.scan_parquet(source).with_columns(total).sink_parquet(output)


def write_sums(source: Path, output: Path) -> None:
    """Read all inputs, and write the rows' numbers and 18 sums in the same bytes as `drugpred score`."""
    import polars as pl

    sums = [
        pl.col(SCORES[i % len(SCORES)].name) + pl.col(CATEGORIES[i % len(CATEGORIES)].name).to_physical()
        for i in range(len(DRUGS))
    ]
    columns = [column.cast(pl.Float32).alias(drug) for column, drug in zip(sums, DRUGS, strict=True)]
    people = pl.scan_parquet(source, row_index_name="line")
    people.select("line", *columns).sink_parquet(output, compression="uncompressed")


def score_with_pandas(source: Path, output: Path) -> None:
    """Score with the stored scikit-learn pipeline."""
    import pandas as pd

    from drugpred.training.stored_pipeline import load_pipeline

    frame = pd.read_parquet(source)
    for category in CATEGORIES:
        frame[category.name] = frame[category.name].map(category.codes).astype(float)
    probabilities = load_pipeline().predict_proba(frame.to_numpy())[:, :, DECADE]
    pd.DataFrame(probabilities, columns=list(DRUGS)).to_parquet(output)


if __name__ == "__main__":
    name, first, second = sys.argv[1:]
    if name == "people":
        people(int(first), Path(second))
    else:
        {"copy": copy, "sums": write_sums, "pandas": score_with_pandas}[name](Path(first), Path(second))
