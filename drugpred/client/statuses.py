"""Conversion of gRPC status codes to the project's errors."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode
from grpc_status import rpc_status

from drugpred.errors import (
    DeadlineExceededError,
    Detail,
    InvalidRequestError,
    PermissionDeniedError,
    RateLimitedError,
    ServiceError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_BROKEN: Final = "Internal error from Core"
"""Details from grpc.aio if a stream ends while it is being written: it then loses the service's status."""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise the project's errors in place of grpc's."""
    try:
        yield
    except grpc.RpcError as error:
        translated = _error(error)
        translated.request_id = dict(error.trailing_metadata() or ()).get("x-request-id")
        raise translated from None


def _error(error: Any) -> ServiceError:  # noqa: ANN401 - an RpcError is a call too
    message = f"the service answered {error.code().name}"
    match error.code():
        case StatusCode.INVALID_ARGUMENT:
            return InvalidRequestError(_detail(error))
        case StatusCode.UNAUTHENTICATED | StatusCode.PERMISSION_DENIED:
            return PermissionDeniedError(f"{message}: {error.details()}")
        case StatusCode.RESOURCE_EXHAUSTED:
            return RateLimitedError(f"{message}: {error.details()}", _retry_after(error))
        case StatusCode.UNAVAILABLE:
            return UnavailableError(f"{message}: {error.details()}", _retry_after(error))
        case StatusCode.INTERNAL if error.details() == _BROKEN:
            return UnavailableError("the stream broke off")
        case StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceededError("no answer in time")
        case _:  # the text may be of any exception
            return ServiceError(message)


def _retry_after(error: Any) -> float | None:  # noqa: ANN401 - an RpcError is a call too
    value = dict(error.trailing_metadata() or ()).get("retry-after", "")
    return float(value) if value.isdecimal() else None


def _detail(error: Any) -> list[Detail]:  # noqa: ANN401 - an RpcError is a call too
    status = rpc_status.from_call(error)
    bad_request = BadRequest()
    if status and any(detail.Unpack(bad_request) for detail in status.details):
        return [Detail(_loc(violation.field), violation.description) for violation in bad_request.field_violations]
    return [Detail((), error.details())]


def _loc(path: str) -> tuple[str | int, ...]:
    """Return the location in a path such as `profiles[3].age`, as HTTP has it."""
    places = re.findall(r"(\w+)|\[(\d+)\]", path.removeprefix("profile."))
    return tuple(name or int(number) for name, number in places)
