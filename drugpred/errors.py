"""What can go wrong, as one small tree.

::

    DrugpredError
    ├── DataError         a file of respondents is malformed: line, column and what was expected
    ├── DownloadError     the data could not be fetched, or what came was something else
    ├── ConfigurationError  a setting or a configuration file is malformed
    │   └── MissingPackageError  a package that belongs to an extra of this one is not installed
    ├── StoredModelError       a stored model is missing, incomplete or altered
    └── ServiceError      the service did not give the client an answer
        ├── InvalidRequestError      the request is malformed: where, and what was expected
        ├── PermissionDeniedError       the service wants an API key, or one with another scope
        ├── DeadlineExceededError     no answer came in time
        └── UnavailableError  nothing answers there, or it is overloaded: try again later
            └── RateLimitedError  the caller asks too often

No message ever contains a value of a person's record.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "ConfigurationError",
    "DataError",
    "DeadlineExceededError",
    "Detail",
    "DownloadError",
    "DrugpredError",
    "Ending",
    "InvalidRequestError",
    "MissingPackageError",
    "PermissionDeniedError",
    "RateLimitedError",
    "ServiceError",
    "StoredModelError",
    "UnavailableError",
    "ending",
    "interrupted_later",
    "needs",
    "reason",
]


class DrugpredError(Exception):
    """The root of all errors that the project raises on purpose."""

    exit_code: ClassVar = 2
    """Of a command that ends with it."""


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


class MissingPackageError(ConfigurationError, ModuleNotFoundError):
    """A package that belongs to an extra of this one is not installed."""


class StoredModelError(DrugpredError):
    """A stored model is missing, incomplete or altered."""


class ServiceError(DrugpredError):
    """The service did not give the client an answer."""


class Detail(NamedTuple):
    """One thing wrong with a request."""

    loc: tuple[str | int, ...]
    """Where: the names and places from the request down."""
    msg: str
    """What was expected."""


class InvalidRequestError(ServiceError):
    """The request is malformed.

    Parameters
    ----------
    detail : sequence of Detail
        All that is wrong with it.
    """

    _MAX = 3  # of a batch a thousand may be wrong

    def __init__(self, detail: Sequence[Detail]) -> None:
        super().__init__(detail)
        self.detail = tuple(detail)

    def __str__(self) -> str:
        wrong = [": ".join([".".join(map(str, loc)), msg] if loc else [msg]) for loc, msg in self.detail[: self._MAX]]
        wrong += [f"and {len(self.detail) - self._MAX} more"] * (len(self.detail) > self._MAX)
        return f"the request is malformed: {'; '.join(wrong)}"


class PermissionDeniedError(ServiceError):
    """The service wants an API key, or one with another scope."""


class DeadlineExceededError(ServiceError):
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


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Return a context manager of code that imports packages of an extra.

    Parameters
    ----------
    extra : str
        As in ``pip install -e '.[extra]'``; this package is in no registry.

    Raises
    ------
    MissingPackageError
        A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if isinstance(error, DrugpredError) or package in {"", "drugpred"}:
            raise
        said = f"expected the package {package}, which is not installed: pip install -e '.[{extra}]' in the checkout"
        raise MissingPackageError(said, name=package) from error


def reason(error: Exception, where: object = None) -> str:
    """Return why the system or a library refused something, in a line.

    Parameters
    ----------
    error : Exception
    where : optional
        What was to be written, because the system names no file when a disk is full, and what is not yet whole has
        another name.
    """
    if isinstance(error, OSError) and error.errno:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
        if where is not None and os.path.realpath(name or str(where)).startswith(os.path.realpath(str(where))):
            name = str(where)
        said = f"{name}: " * (name is not None) + (error.strerror or os.strerror(error.errno))
    else:  # libraries raise OSErrors of their own, with a message in place of a number
        said = str(error).strip().partition("\n")[0] or type(error).__name__
    return os.fsencode(said).decode("utf-8", "replace")


class Ending(NamedTuple):
    """How a command ends that could not do what it was asked for."""

    line: str
    exit_code: int


def ending(error: BaseException, kept: str, where: object = None) -> Ending | None:
    """Return how a command ends that an error reached, or None where its traceback is wanted: the error is a bug.

    Parameters
    ----------
    error : BaseException
    kept : str
        What is left of the work where it was interrupted, and how to go on.
    where : optional
        What the command was to write, see `reason`.
    """
    if isinstance(error, KeyboardInterrupt):
        return Ending(f"interrupted: {kept}", 130)
    if isinstance(error, DrugpredError):
        return Ending(str(error), error.exit_code)
    if isinstance(error, BrokenPipeError):  # nobody reads on, of which click is quiet
        return None
    if isinstance(error, OSError):
        return Ending(reason(error, where), DrugpredError.exit_code)
    return None


@contextmanager
def interrupted_later() -> Iterator[None]:
    """Return a context manager of code that starts processes: Ctrl-C waits until it ends, and never reaches them.

    The process that started them ends them and reports it in a line; each would print its own traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # as it starts, it lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which processes inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
