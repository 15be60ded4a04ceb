"""What a malformed request is answered with: INVALID_ARGUMENT, naming each field and what was expected there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc_status import rpc_status

from drugpred.schemas import faults
from drugpred.serving.middleware.error_format import field_path

if TYPE_CHECKING:
    import grpc
    from pydantic import ValidationError

__all__ = ["Malformed"]

_LONGEST: Final = 1000
"""Characters that fit into headers, where they stand three times: clients take 8192 bytes of headers by default."""


class Malformed(Exception):  # noqa: N818 - it tells of the request
    """A request is malformed.

    Parameters
    ----------
    violations : dict of str to str
        What was expected, by field; never what was given.
    where : str
        What the fields are of, if not of the request itself.
    """

    def __init__(self, violations: dict[str, str], where: str = "") -> None:
        super().__init__(f"{len(violations)} violations")
        self.violations = violations
        self.where = where

    @classmethod
    def of(cls, error: ValidationError, within: str = "", where: str = "") -> Malformed:
        """Return pydantic's error in terms of the message's fields, of which `within` holds what was checked."""
        return cls({field_path([within, *fault.loc]): fault.msg for fault in faults(error)}, where)

    def status(self) -> grpc.Status:
        """Return the status to end a call with: as text, and as google.rpc.BadRequest."""
        shown: dict[str, str] = {}
        length = 0
        for field, expected in self.violations.items():
            length += len(field) + len(expected)
            if shown and length > _LONGEST:
                break
            shown[field] = expected
        message = "; ".join(f"{field}: {expected}" for field, expected in shown.items())
        if self.where:
            message = f"{self.where}: {message}"
        if more := len(self.violations) - len(shown):
            message += f"; and {more} more"
        details = AnyMessage()
        details.Pack(
            BadRequest(
                field_violations=[
                    BadRequest.FieldViolation(field=field, description=expected) for field, expected in shown.items()
                ]
            )
        )
        return rpc_status.to_status(
            Status(code=StatusCode.INVALID_ARGUMENT.value[0], message=message, details=[details])
        )
