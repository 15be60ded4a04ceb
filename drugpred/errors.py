"""What can go wrong, as one small tree.

::

    DrugpredError
    ├── DataError         a file of respondents is malformed: line, column and what was expected
    ├── DownloadError     the data could not be fetched, or what came was something else
    ├── ConfigurationError  a setting or a configuration file is malformed
    └── BundleError       a stored model is missing, incomplete or altered

No message ever contains a value of a person's record.
"""

from __future__ import annotations

__all__ = ["BundleError", "ConfigurationError", "DataError", "DownloadError", "DrugpredError"]


class DrugpredError(Exception):
    """The root of all errors that the project raises on purpose."""


class DataError(DrugpredError):
    """A file of respondents is malformed.

    Parameters
    ----------
    expected : str
        What should have stood there, never what did.
    line : int, optional
        The line of the file, counted from 1.
    column : str, optional
        The column's name.
    """

    def __init__(self, expected: str, *, line: int | None = None, column: str | None = None) -> None:
        where = [f"line {line}"] if line is not None else []
        where += [f"column {column}"] if column is not None else []
        super().__init__(": ".join([", ".join(where), expected]) if where else expected)
        self.line = line
        self.column = column


class DownloadError(DrugpredError):
    """The data could not be fetched, or what came was something else."""


class ConfigurationError(DrugpredError):
    """A setting or a configuration file is malformed."""


class BundleError(DrugpredError):
    """A stored model is missing, incomplete or altered."""
