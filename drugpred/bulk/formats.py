"""Open a file of rows in any format, by the ending of its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from drugpred.bulk.csv_source import CsvSource
from drugpred.bulk.parquet_source import ParquetSource
from drugpred.data.files import path_text
from drugpred.errors import ConfigurationError

if TYPE_CHECKING:
    from drugpred.bulk.source import Source

_TEXTS: Final = (".csv", ".tsv", ".data")  # the last is that of the UCI form as published


def open_source(path: Path) -> Source:
    """Open a file to read rows from: map its columns, and find where its parts begin.

    Raises
    ------
    DataError
        The file cannot be read, or has other columns or types than expected.
    ConfigurationError
        Its name has no known ending.
    """
    name = path.name.lower()
    if name.endswith(".parquet"):
        return ParquetSource.open(path)
    if name.removesuffix(".gz").endswith(_TEXTS):
        return CsvSource.open(path)
    endings = f"{', '.join(_TEXTS)} (also with .gz) or .parquet"
    raise ConfigurationError(f"expected a name that ends in {endings}, and not {path_text(Path(path.name))}")
