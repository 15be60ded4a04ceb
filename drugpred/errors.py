"""All errors that the project raises on purpose, as one tree.

::

    DrugpredError
    ├── DataError              a file of respondents is malformed: line, column and what was expected
    ├── DownloadError          the data could not be fetched, or what came was something else
    ├── ConfigurationError     a setting or a configuration file is malformed
    │   └── MissingPackageError  a package that belongs to an extra of this one is not installed
    ├── StoredModelError       a stored model is missing, incomplete or altered
    ├── RequestError           the service does not answer a request      HTTP  gRPC
    │   ├── InvalidArgumentError      it is malformed                     400   INVALID_ARGUMENT
    │   ├── InvalidHeadersError       its headers contradict themselves   400   INVALID_ARGUMENT
    │   ├── InvalidEncodingError      its body is not what its encoding says  400  INVALID_ARGUMENT
    │   ├── FeedbackError             its feedback is not taken           400   INVALID_ARGUMENT
    │   │   ├── InvalidFeedbackError    malformed, or about a drug that was not asked for
    │   │   ├── InvalidSignatureError   no server with the key made the prediction_id
    │   │   ├── WrongModelError         the prediction_id was issued by another model
    │   │   ├── ExpiredPredictionError  it is too old                     410   FAILED_PRECONDITION
    │   │   ├── DuplicateFeedbackError  its outcomes were counted before  409   ALREADY_EXISTS
    │   │   └── StoreUnavailableError   that cannot be known now          503   UNAVAILABLE
    │   ├── UnauthenticatedError      no key, or an unknown one           401   UNAUTHENTICATED
    │   ├── ForbiddenError            the key lacks a scope               403   PERMISSION_DENIED
    │   ├── UnknownModelError         another model than the one served   404   NOT_FOUND
    │   ├── RequestTimeoutError       it does not arrive in time          408   DEADLINE_EXCEEDED
    │   ├── PayloadTooLargeError      it is too long                      413   RESOURCE_EXHAUSTED
    │   ├── UnsupportedEncodingError  another encoding of the body        415   INVALID_ARGUMENT
    │   ├── TooManyRequestsError      the caller exceeds its rate         429   RESOURCE_EXHAUSTED
    │   └── OverloadedError           too much is held at once            503   UNAVAILABLE
    └── ServiceError           the client got no answer
        ├── InvalidRequestError    the request is malformed: where, and what was expected
        ├── PermissionDeniedError  the service wants an API key, or one with another scope
        ├── DeadlineExceededError  no answer came in time
        └── UnavailableError       nothing answers there, or it is overloaded: try again later
            └── RateLimitedError   the caller exceeds its rate

No message ever contains a value of a person's record.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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


class Fault(NamedTuple):
    """One thing wrong with a request."""

    loc: tuple[str | int, ...]  # where: the names and indices from the request down
    msg: str  # what was expected
    type: str = "unexpected"  # what is wrong, in pydantic's words


def field_path(loc: Sequence[str | int]) -> str:
    """Return where a field is, as `profiles[3].age`; an empty step is left out."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc if step != ""]
    return "".join(steps).removeprefix(".")


def error_body(message: str, details: Sequence[Fault] = ()) -> bytes:
    """Return the body of an HTTP error, as `drugpred.schemas.Error` describes it."""
    content = {"error": message, "detail": [detail._asdict() for detail in details]}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


class RequestError(DrugpredError):
    """The service does not answer a request.

    Parameters
    ----------
    message : str
        What was expected.
    details : sequence of Fault, optional
    """

    status: ClassVar = 400
    """Of HTTP."""
    code: ClassVar = "INVALID_ARGUMENT"
    """Of gRPC."""
    limit: ClassVar[str | None] = None
    """The limit that the request exceeds, as it is counted."""
    retry_after: float | None = None
    """In seconds."""

    def __init__(self, message: str, details: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.details = details

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer over HTTP."""
        return {} if self.retry_after is None else {"retry-after": str(int(self.retry_after))}


class InvalidArgumentError(RequestError):
    """A request is malformed.

    Parameters
    ----------
    details : sequence of Fault
    where : str, optional
        The part of a stream that it is about.
    """

    def __init__(self, details: Sequence[Fault], where: str = "") -> None:
        super().__init__("the request is malformed", details)
        self.where = where


class InvalidHeadersError(RequestError):
    """The headers contradict themselves: a proxy may have read them otherwise."""


class InvalidEncodingError(RequestError):
    """The body is not what its encoding says."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"expected one whole {encoding} stream")


class UnauthenticatedError(RequestError):
    """No key, or none that is known."""

    status = 401
    code = "UNAUTHENTICATED"

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer over HTTP."""
        return {"www-authenticate": "Bearer"}


class ForbiddenError(RequestError):
    """The key's scopes do not include what the request needs."""

    status = 403
    code = "PERMISSION_DENIED"


class UnknownModelError(RequestError):
    """Another model or version than the one served was asked for."""

    status = 404
    code = "NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("model not found")  # what there is instead, a key protects


class RequestTimeoutError(RequestError):
    """A request does not arrive in time."""

    status = 408
    code = "DEADLINE_EXCEEDED"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"expected a request within {seconds:.0f} seconds")


class PayloadTooLargeError(RequestError):
    """A request is too long."""

    status = 413
    code = "RESOURCE_EXHAUSTED"
    limit = "size"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"expected {max_bytes} bytes or fewer")


class UnsupportedEncodingError(RequestError):
    """The body comes in an encoding that is not taken."""

    status = 415

    def __init__(self, *supported: str) -> None:
        super().__init__(f"expected the content-encoding {', '.join(supported)} or identity")
        self._supported = supported

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer over HTTP."""
        return {"accept-encoding": ", ".join(self._supported)}


class TooManyRequestsError(RequestError):
    """The caller exceeds its rate."""

    status = 429
    code = "RESOURCE_EXHAUSTED"
    limit = "rate"

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many requests; try again later")
        self.retry_after = retry_after


class OverloadedError(RequestError):
    """More is asked at once than can be held."""

    status = 503
    code = "UNAVAILABLE"
    limit = "load"
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("overloaded; try again later")


class FeedbackError(RequestError):
    """Feedback is not taken.

    Parameters
    ----------
    expected : str
        Never what was sent.
    loc : str
        Where in the request.
    """

    result: ClassVar[str]
    """What it is counted as."""

    def __init__(self, expected: str, *loc: str) -> None:
        super().__init__(expected, [Fault(loc, expected, self.result)])


class InvalidFeedbackError(FeedbackError):
    """The request is malformed, or names a drug that was not asked for."""

    result = "malformed"

    @classmethod
    def of(cls, details: Sequence[Fault]) -> InvalidFeedbackError:
        """Return the error of several places."""
        error = cls("the request is malformed")
        error.details = details
        return error


class InvalidSignatureError(FeedbackError):
    """No server that has the key made the prediction_id."""

    result = "forged"


class WrongModelError(FeedbackError):
    """The prediction_id was issued by another model."""

    result = "foreign"


class ExpiredPredictionError(FeedbackError):
    """The prediction_id is too old."""

    status = 410
    code = "FAILED_PRECONDITION"
    result = "expired"


class DuplicateFeedbackError(FeedbackError):
    """The outcomes of the prediction_id were counted before."""

    status = 409
    code = "ALREADY_EXISTS"
    result = "repeated"


class StoreUnavailableError(FeedbackError):
    """Whether feedback was counted before cannot be known now: try again later."""

    status = 503
    code = "UNAVAILABLE"
    result = "failed"
    retry_after = 30.0


class ServiceError(DrugpredError):
    """The service did not give the client an answer."""


class Detail(NamedTuple):
    """One thing wrong with a request."""

    loc: tuple[str | int, ...]  # where: the names and places from the request down
    msg: str  # what was expected


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
