"""What a malformed request is answered with."""

import pytest
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from pydantic import ValidationError

from drugpred.schemas import EXAMPLE, Batch, Profile
from drugpred.serving.grpc.errors import Malformed


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


def test_each_field_is_named_as_in_the_message():
    profile = {**EXAMPLE, "age": 17, "drugs": ["alcohol", None]}
    assert list(Malformed.of(refused(Profile, profile)).violations) == ["age", "drugs[1]"]
    assert list(Malformed.of(refused(Profile, profile), "profile").violations) == ["profile.age", "profile.drugs[1]"]
    error = Malformed.of(refused(Batch, {"profiles": [EXAMPLE, profile]}))
    assert list(error.violations) == ["profiles[1].age", "profiles[1].drugs[1]"]


def test_the_status_tells_all_as_text_and_as_details():
    expected = {"profile.age": "Field required", "profile.gender": "expected one of Female | Male"}
    status = Malformed(expected).status()
    assert status.code is StatusCode.INVALID_ARGUMENT
    assert status.details == "profile.age: Field required; profile.gender: expected one of Female | Male"
    assert violations(status) == expected


def test_the_status_tells_where():
    assert Malformed({"age[3]": "expected a band"}, "chunk 7").status().details == "chunk 7: age[3]: expected a band"


def test_no_status_is_longer_than_headers_may_be():
    status = Malformed.of(refused(Batch, {"profiles": [{}] * 160})).status()
    shown = violations(status)
    assert 10 < len(shown) < 100
    assert status.details.endswith(f"; and {160 * 12 - len(shown)} more")
    ((_, packed),) = status.trailing_metadata
    assert len(status.details) + len(packed) * 4 / 3 < 5000


def test_one_violation_is_told_however_long():
    status = Malformed({"age": "x" * 3000, "gender": "y"}).status()
    assert list(violations(status)) == ["age"]
    assert status.details.endswith("; and 1 more")
