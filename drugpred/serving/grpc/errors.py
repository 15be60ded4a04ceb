"""The gRPC status of each error; that of a malformed request names each field and the expected value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc_status import rpc_status

from drugpred.errors import InvalidArgumentError, field_path
from drugpred.monitoring.metrics import LIMITED

if TYPE_CHECKING:
    import grpc

    from drugpred.errors import RequestError

_MAX_LENGTH: Final = 1000
"""Characters of the text, which appears three times in the headers: clients accept 8192 bytes of headers by default."""


class CallStatus(NamedTuple):
    """The status of a call that fails."""

    code: StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...] = ()


def status_of(error: RequestError) -> grpc.Status:
    """Return the status of an error, and count the call if it exceeds a limit."""
    if error.limit:
        LIMITED.labels(error.limit).inc()
    if isinstance(error, InvalidArgumentError):
        return _bad_request(error)
    metadata = () if error.retry_after is None else (("retry-after", str(int(error.retry_after))),)
    return CallStatus(StatusCode[error.code], str(error), metadata)


def _bad_request(error: InvalidArgumentError) -> grpc.Status:
    """Return the status of a malformed request, with a google.rpc.BadRequest."""
    violations = {field_path(detail.loc) or "request": detail.msg for detail in error.details}
    shown: dict[str, str] = {}
    length = 0
    for field, expected in violations.items():
        length += len(field) + len(expected)
        if shown and length > _MAX_LENGTH:
            break
        shown[field] = expected
    message = "; ".join(f"{field}: {expected}" for field, expected in shown.items())
    if error.where:
        message = f"{error.where}: {message}"
    if more := len(violations) - len(shown):
        message += f"; and {more} more"
    details = AnyMessage()
    details.Pack(
        BadRequest(
            field_violations=[
                BadRequest.FieldViolation(field=field, description=expected) for field, expected in shown.items()
            ]
        )
    )
    return rpc_status.to_status(Status(code=StatusCode.INVALID_ARGUMENT.value[0], message=message, details=[details]))
