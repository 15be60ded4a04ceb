"""Opens a file of rows in the format of its name's ending."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from drugpred.bulk.csv_source import CsvSource
from drugpred.bulk.parquet_source import ParquetSource
from drugpred.data.files import path_text
from drugpred.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drugpred.bulk.source import Source
    from drugpred.bulk.storage import File

_PARQUET: Final = ".parquet"
_TEXTS: Final = (".csv", ".tsv", ".data")  # the last one is the UCI format as published


def is_source(name: str) -> bool:
    """Return whether a name has a known ending."""
    name = name.lower()
    return name.endswith(_PARQUET) or name.removesuffix(".gz").endswith(_TEXTS)


def open_source(file: File, keep: Sequence[str] = ()) -> Source:
    """Open a file of rows: map its columns, and find where its parts begin.

    Parameters
    ----------
    file : pathlib.Path or Remote
    keep : sequence of str
        Headings of columns to carry over.

    Raises
    ------
    DataError
        The file cannot be read, or has unexpected columns or types.
    ConfigurationError
        Its name has an unknown ending.
    """
    if not is_source(file.name):
        endings = f"{', '.join(_TEXTS)} (also with .gz) or {_PARQUET}"
        raise ConfigurationError(f"expected a name that ends in {endings}, found {path_text(Path(file.name))}")
    return (ParquetSource if file.name.lower().endswith(_PARQUET) else CsvSource).open(file, keep)
