"""What a malformed request is answered with."""

import pytest
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from pydantic import ValidationError

from drugpred.errors import Fault, InvalidArgumentError, OverloadedError, TooManyRequestsError, UnauthenticatedError
from drugpred.schemas import EXAMPLE, Batch, faults
from drugpred.serving.grpc.errors import status_of


def refused(model, content):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(content)
    return caught.value


def violations(status):
    ((_, packed),) = status.trailing_metadata
    (detail,) = Status.FromString(packed).details
    bad = BadRequest()
    assert detail.Unpack(bad)
    return {violation.field: violation.description for violation in bad.field_violations}


def status(violations, where=""):
    details = [Fault(tuple(field.split(".")), expected) for field, expected in violations.items()]
    return status_of(InvalidArgumentError(details, where))


def test_each_field_is_named_as_in_the_message():
    profile = {**EXAMPLE, "age": 17, "drugs": ["alcohol", None]}
    error = InvalidArgumentError(faults(refused(Batch, {"profiles": [EXAMPLE, profile]})))
    assert list(violations(status_of(error))) == ["profiles[1].age", "profiles[1].drugs[1]"]


def test_the_status_has_all_as_text_and_as_details():
    expected = {"profile.age": "Field required", "profile.gender": "expected one of Female | Male"}
    told = status(expected)
    assert told.code is StatusCode.INVALID_ARGUMENT
    assert told.details == "profile.age: Field required; profile.gender: expected one of Female | Male"
    assert violations(told) == expected


def test_the_status_has_the_place():
    detail = Fault(("age", 3), "expected a band")
    assert status_of(InvalidArgumentError([detail], "chunk 7")).details == "chunk 7: age[3]: expected a band"


def test_no_status_is_longer_than_headers_may_be():
    told = status_of(InvalidArgumentError(faults(refused(Batch, {"profiles": [{}] * 160}))))
    shown = violations(told)
    assert 10 < len(shown) < 100
    assert told.details.endswith(f"; and {160 * 12 - len(shown)} more")
    ((_, packed),) = told.trailing_metadata
    assert len(told.details) + len(packed) * 4 / 3 < 5000


def test_one_violation_is_reported_at_any_length():
    told = status({"age": "x" * 3000, "gender": "y"})
    assert list(violations(told)) == ["age"]
    assert told.details.endswith("; and 1 more")


def test_other_errors_have_their_code_and_when_to_try_again():
    assert status_of(OverloadedError()) == (StatusCode.UNAVAILABLE, str(OverloadedError()), (("retry-after", "1"),))
    assert status_of(TooManyRequestsError(7.0)).trailing_metadata == (("retry-after", "7"),)
    assert status_of(UnauthenticatedError("no key")) == (StatusCode.UNAUTHENTICATED, "no key", ())
