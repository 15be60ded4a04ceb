"""Errors of gRPC become those of the project."""

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from drugpred.client.statuses import translate_errors
from drugpred.errors import ServiceError, UnavailableError


@pytest.mark.parametrize(
    ("details", "expected", "message"),
    [
        ("Internal error from Core", UnavailableError, "the stream broke off"),  # which may be tried again
        ("of a service", ServiceError, "the service answered INTERNAL"),
    ],
)
def test_a_stream_that_ends_while_it_is_written_broke_off(details, expected, message):
    with pytest.raises(expected, match=rf"^{message}$") as raised, translate_errors():
        raise AioRpcError(StatusCode.INTERNAL, Metadata(), Metadata(), details)
    assert raised.type is expected
