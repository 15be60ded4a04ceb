"""Opens a file of rows in the format of its name's ending."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from drugpred.bulk.csv_source import CsvSource
from drugpred.bulk.parquet_source import ParquetSource
from drugpred.data.files import path_text
from drugpred.errors import ConfigurationError

if TYPE_CHECKING:
    from drugpred.bulk.source import Source

_TEXTS: Final = (".csv", ".tsv", ".data")  # the last one is the UCI format as published


def open_source(path: Path) -> Source:
    """Open a file of rows: map its columns, and find where its parts begin.

    Raises
    ------
    DataError
        The file cannot be read, or has unexpected columns or types.
    ConfigurationError
        Its name has an unknown ending.
    """
    name = path.name.lower()
    if name.endswith(".parquet"):
        return ParquetSource.open(path)
    if name.removesuffix(".gz").endswith(_TEXTS):
        return CsvSource.open(path)
    endings = f"{', '.join(_TEXTS)} (also with .gz) or .parquet"
    raise ConfigurationError(f"expected a name that ends in {endings}, found {path_text(Path(path.name))}")
