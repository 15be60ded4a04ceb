"""All errors that the project raises on purpose, as one tree.

::

    DrugpredError
    ├── DataError              a file of respondents is malformed: line, column and expected value
    ├── DownloadError          the data could not be downloaded, or other data came
    ├── ConfigurationError     a setting or a configuration file is malformed
    │   └── MissingPackageError  a package of an extra is not installed
    ├── StoredModelError       a stored model is missing, incomplete or altered
    ├── RequestError           the service rejects a request               HTTP  gRPC
    │   ├── InvalidArgumentError      it is malformed                     400   INVALID_ARGUMENT
    │   ├── InvalidHeadersError       its headers are contradictory        400   INVALID_ARGUMENT
    │   ├── InvalidEncodingError      its body does not match its encoding  400  INVALID_ARGUMENT
    │   ├── FeedbackError             its feedback is rejected             400   INVALID_ARGUMENT
    │   │   ├── InvalidFeedbackError    malformed, or about a drug that was not requested
    │   │   ├── InvalidSignatureError   the prediction_id is not signed with the key
    │   │   ├── WrongModelError         the prediction_id was issued by another model
    │   │   ├── ExpiredPredictionError  it is too old                     410   FAILED_PRECONDITION
    │   │   ├── DuplicateFeedbackError  its outcomes were counted before  409   ALREADY_EXISTS
    │   │   └── StoreUnavailableError   the store of used ids fails          503   UNAVAILABLE
    │   ├── UnauthenticatedError      no key, or an unknown one           401   UNAUTHENTICATED
    │   ├── ForbiddenError            the key lacks a scope               403   PERMISSION_DENIED
    │   ├── UnknownModelError         unknown model or version            404   NOT_FOUND
    │   ├── RequestTimeoutError       it does not arrive in time           408   DEADLINE_EXCEEDED
    │   ├── PayloadTooLargeError      it is too long                      413   RESOURCE_EXHAUSTED
    │   ├── UnsupportedEncodingError  unsupported content-encoding        415   INVALID_ARGUMENT
    │   ├── TooManyRequestsError      the caller exceeds its rate         429   RESOURCE_EXHAUSTED
    │   └── OverloadedError           a capacity limit is reached         503   UNAVAILABLE
    └── ServiceError           a client's call failed
        ├── InvalidRequestError    the request is malformed: field and expected value
        ├── PermissionDeniedError  the API key is missing or unknown, or lacks a scope
        ├── DeadlineExceededError  no answer came in time
        └── UnavailableError       unreachable or overloaded: try again later
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
    """Exit status of a command that ends with this error."""


class DataError(DrugpredError):
    """A file of respondents is malformed.

    Parameters
    ----------
    expected : str
        The expected value, never the actual one.
    line : int, optional
        Line of the file, from 1.
    column : str, optional
        Name of the column.
    """

    def __init__(self, expected: str, *, line: int | None = None, column: str | None = None) -> None:
        where = [f"line {line}"] if line is not None else []
        where += [f"column {column}"] if column is not None else []
        super().__init__(": ".join([", ".join(where), expected]) if where else expected)
        self.line = line
        self.column = column


class DownloadError(DrugpredError):
    """The data could not be downloaded, or other data came."""


class ConfigurationError(DrugpredError):
    """A setting or a configuration file is malformed."""


class MissingPackageError(ConfigurationError, ModuleNotFoundError):
    """A package of an extra is not installed."""


class StoredModelError(DrugpredError):
    """A stored model is missing, incomplete or altered."""


class Fault(NamedTuple):
    """A mistake in a request."""

    loc: tuple[str | int, ...]  # location: names and indices from the request down
    msg: str  # the expected value
    type: str = "unexpected"  # kind of mistake, in pydantic's terms


def field_path(loc: Sequence[str | int]) -> str:
    """Return the location of a field, like `profiles[3].age`; empty names are left out."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc if step != ""]
    return "".join(steps).removeprefix(".")


def error_body(message: str, details: Sequence[Fault] = ()) -> bytes:
    """Return the body of an HTTP error, see `drugpred.schemas.Error`."""
    content = {"error": message, "detail": [detail._asdict() for detail in details]}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


class RequestError(DrugpredError):
    """The service rejects a request.

    Parameters
    ----------
    message : str
        The expected value, or the reason.
    details : sequence of Fault, optional
    """

    status: ClassVar = 400
    """Of HTTP."""
    code: ClassVar = "INVALID_ARGUMENT"
    """Of gRPC."""
    limit: ClassVar[str | None] = None
    """Value of the metric's label if the request exceeds a limit."""
    retry_after: float | None = None
    """In seconds."""

    def __init__(self, message: str, details: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.details = details

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the HTTP response."""
        return {} if self.retry_after is None else {"retry-after": str(int(self.retry_after))}


class InvalidArgumentError(RequestError):
    """A request is malformed.

    Parameters
    ----------
    details : sequence of Fault
    where : str, optional
        Part of a stream with the mistake.
    """

    def __init__(self, details: Sequence[Fault], where: str = "") -> None:
        super().__init__("the request is malformed", details)
        self.where = where


class InvalidHeadersError(RequestError):
    """The headers are contradictory: a proxy may have read them in another way."""


class InvalidEncodingError(RequestError):
    """The body does not match its content-encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"expected one complete {encoding} stream")


class UnauthenticatedError(RequestError):
    """The API key is missing or unknown."""

    status = 401
    code = "UNAUTHENTICATED"

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the HTTP response."""
        return {"www-authenticate": "Bearer"}


class ForbiddenError(RequestError):
    """The API key lacks the scope that the request needs."""

    status = 403
    code = "PERMISSION_DENIED"


class UnknownModelError(RequestError):
    """The requested model or version is not served."""

    status = 404
    code = "NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("model not found")  # not which there are: an API key protects that


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
        super().__init__(f"expected at most {max_bytes} bytes")


class UnsupportedEncodingError(RequestError):
    """The content-encoding of the body is not supported."""

    status = 415

    def __init__(self, *supported: str) -> None:
        super().__init__(f"expected the content-encoding {', '.join(supported)} or identity")
        self._supported = supported

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the HTTP response."""
        return {"accept-encoding": ", ".join(self._supported)}


class TooManyRequestsError(RequestError):
    """The caller exceeds the rate limit."""

    status = 429
    code = "RESOURCE_EXHAUSTED"
    limit = "rate"

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many requests; try again later")
        self.retry_after = retry_after


class OverloadedError(RequestError):
    """A capacity limit is reached."""

    status = 503
    code = "UNAVAILABLE"
    limit = "load"
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("overloaded; try again later")


class FeedbackError(RequestError):
    """Feedback is rejected.

    Parameters
    ----------
    expected : str
        The expected value, never the actual one.
    loc : str
        Location in the request.
    """

    result: ClassVar[str]
    """Value of the metric's label `result`."""

    def __init__(self, expected: str, *loc: str) -> None:
        super().__init__(expected, [Fault(loc, expected, self.result)])


class InvalidFeedbackError(FeedbackError):
    """The request is malformed, or names a drug that was not requested."""

    result = "malformed"

    @classmethod
    def of(cls, details: Sequence[Fault]) -> InvalidFeedbackError:
        """Return the error of several mistakes."""
        error = cls("the request is malformed")
        error.details = details
        return error


class InvalidSignatureError(FeedbackError):
    """The prediction_id is not signed with the key."""

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
    """The store of used ids fails: try again later."""

    status = 503
    code = "UNAVAILABLE"
    result = "failed"
    retry_after = 30.0


class ServiceError(DrugpredError):
    """A client's call failed."""

    request_id: str | None = None
    """The `x-request-id` of the call; None if nothing was sent."""


class Detail(NamedTuple):
    """A mistake in a request."""

    loc: tuple[str | int, ...]  # location: names and indices from the request down
    msg: str  # the expected value


class InvalidRequestError(ServiceError):
    """The request is malformed.

    Parameters
    ----------
    detail : sequence of Detail
        All mistakes.
    """

    _MAX = 3  # a batch may have a thousand

    def __init__(self, detail: Sequence[Detail]) -> None:
        super().__init__(detail)
        self.detail = tuple(detail)

    def __str__(self) -> str:
        wrong = [": ".join([".".join(map(str, loc)), msg] if loc else [msg]) for loc, msg in self.detail[: self._MAX]]
        wrong += [f"and {len(self.detail) - self._MAX} more"] * (len(self.detail) > self._MAX)
        return f"the request is malformed: {'; '.join(wrong)}"


class PermissionDeniedError(ServiceError):
    """The API key is missing or unknown, or lacks a scope."""


class DeadlineExceededError(ServiceError):
    """No answer came in time."""


class UnavailableError(ServiceError):
    """The service is unreachable or overloaded: try again later.

    Parameters
    ----------
    message : str
    retry_after : float, optional
        Seconds to wait, if the service says so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitedError(UnavailableError):
    """The caller exceeds the rate limit."""


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Return a context manager for imports from an extra.

    Parameters
    ----------
    extra : str
        Name in ``pip install -e '.[extra]'``; this package is in no registry.

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
    """Return the reason of an error of the system or of a library, in one line.

    Parameters
    ----------
    error : Exception
    where : optional
        The output: the system names no file when a disk is full, and an incomplete file has another name.
    """
    if isinstance(error, OSError) and error.errno:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
        if where is not None and os.path.realpath(name or str(where)).startswith(os.path.realpath(str(where))):
            name = str(where)
        said = f"{name}: " * (name is not None) + (error.strerror or os.strerror(error.errno))
    else:  # libraries raise OSErrors with a message in place of a number
        said = str(error).strip().partition("\n")[0] or type(error).__name__
    return os.fsencode(said).decode("utf-8", "replace")


class Ending(NamedTuple):
    """The message and exit status of a command that fails."""

    line: str
    exit_code: int


def ending(error: BaseException, kept: str, where: object = None) -> Ending | None:
    """Return the ending of a command with an error, or None for a bug, which needs its traceback.

    Parameters
    ----------
    error : BaseException
    kept : str
        What an interrupted command keeps, and how to continue.
    where : optional
        Output of the command, see `reason`.
    """
    if isinstance(error, KeyboardInterrupt):
        return Ending(f"interrupted: {kept}", 130)
    if isinstance(error, DrugpredError):
        return Ending(str(error), error.exit_code)
    if isinstance(error, BrokenPipeError):  # click is silent when the reader of its output has ended
        return None
    if isinstance(error, OSError):
        return Ending(reason(error, where), DrugpredError.exit_code)
    return None


@contextmanager
def interrupted_later() -> Iterator[None]:
    """Return a context manager for code that starts processes: Ctrl-C waits until it ends, and does not reach them.

    The process that started them ends them and reports one line; otherwise each would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its start unblocks Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by processes
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
