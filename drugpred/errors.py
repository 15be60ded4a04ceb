"""What can go wrong, as one small tree.

::

    DrugpredError
    ├── DataError         a file of respondents is malformed: line, column and what was expected
    ├── DownloadError     the data could not be fetched, or what came was something else
    ├── ConfigurationError  a setting or a configuration file is malformed
    ├── BundleError       a stored model is missing, incomplete or altered
    └── ServiceError      the service did not give the client an answer
        ├── RefusedError      the request is malformed: where, and what was expected
        ├── DeniedError       the service wants an API key, or one with another scope
        ├── DeadlineError     no answer came in time
        └── UnavailableError  nothing answers there, or it is overloaded: try again later
            └── RateLimitedError  the caller asks too often

No message ever contains a value of a person's record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BundleError",
    "ConfigurationError",
    "DataError",
    "DeadlineError",
    "DeniedError",
    "Detail",
    "DownloadError",
    "DrugpredError",
    "RateLimitedError",
    "RefusedError",
    "ServiceError",
    "UnavailableError",
]


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


class ServiceError(DrugpredError):
    """The service did not give the client an answer."""


class Detail(NamedTuple):
    """One thing wrong with a request."""

    loc: tuple[str | int, ...]
    """Where: the names and places from the request down."""
    msg: str
    """What was expected."""


class RefusedError(ServiceError):
    """The request is malformed.

    Parameters
    ----------
    detail : sequence of Detail
        All that is wrong with it.
    """

    _MOST = 3  # of a batch a thousand may be wrong

    def __init__(self, detail: Sequence[Detail]) -> None:
        super().__init__(detail)
        self.detail = tuple(detail)

    def __str__(self) -> str:
        wrong = [": ".join([".".join(map(str, loc)), msg] if loc else [msg]) for loc, msg in self.detail[: self._MOST]]
        wrong += [f"and {len(self.detail) - self._MOST} more"] * (len(self.detail) > self._MOST)
        return f"the request is malformed: {'; '.join(wrong)}"


class DeniedError(ServiceError):
    """The service wants an API key, or one with another scope."""


class DeadlineError(ServiceError):
    """No answer came in time."""


class UnavailableError(ServiceError):
    """Nothing answers there, or it is overloaded: try again later.

    Parameters
    ----------
    message : str
    retry_after : float, optional
        The seconds that the service asks to wait.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitedError(UnavailableError):
    """The caller asks too often."""
