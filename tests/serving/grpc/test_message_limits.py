"""Counts of a message's fields, compared with the parser."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from drugpred.errors import InvalidArgumentError, field_path
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.inference import grpc_service_pb2 as inference
from drugpred.serving.grpc.message_limits import LIMITS, Field, check

INFER = LIMITS["ModelInfer"]


def refusal(message, fields):
    try:
        check(message, fields)
    except InvalidArgumentError as error:
        return {field_path(detail.loc): detail.msg for detail in error.details}
    return {}


@pytest.mark.parametrize(
    ("method", "message", "violations"),
    [
        ("PredictBatch", b"\x0a\x00" * 1000, {}),
        ("PredictBatch", b"\x0a\x00" * 1001, {"profiles": "expected at most 1000 elements"}),
        ("PredictBatch", b"\x8a\x00\x00" * 1001, {"profiles": "expected at most 1000 elements"}),
        ("PredictBatch", b"\x0a\x00\x0a\xc8\x04" + bytes(600), {"profiles[1]": "expected at most 512 bytes"}),
        ("PredictStream", b"\x1a\xc0\x9a\x0c" + bytes(200_000), {}),
        ("PredictStream", b"\x1a\xc1\x9a\x0c" + bytes(200_001), {"age": "expected at most 200000 bytes"}),
        ("PredictStream", b"\x78\x01" * 101, {"drugs": "expected at most 1000 bytes"}),
        ("PredictStream", b"\x1a\x00" * 20_001, {"age": "expected at most 200000 bytes"}),
        ("PredictStream", (b"\x41" + bytes(8)) * 20_001, {"neuroticism": "expected at most 160000 bytes"}),
        ("PredictStream", b"\x82\x01\x00" * 1001, {"": "expected at most 1000 elements"}),
        ("ModelInfer", b"\x32\x00" * 19, {"outputs": "expected at most 18 elements"}),
        ("ModelInfer", b"\x2a\x00" * 13, {"inputs": "expected at most 12 elements"}),
        ("ModelInfer", b"\x22\x00" * 17, {"parameters": "expected at most 16 elements"}),
        ("ModelInfer", b"\x3a\x00" * 13, {"raw_input_contents": "expected at most 12 elements"}),
        (
            "ModelInfer",
            b"\x2a\x00\x2a\x22" + b"\x22\x00" * 17,
            {"inputs[1].parameters": "expected at most 16 elements"},
        ),
        ("ModelInfer", b"\x2a\x04\x2a\x00\x2a\x00", {"inputs[0].contents": "expected at most 1 elements"}),
        (
            "ModelInfer",
            b"\x2a\xa6\x9c\x01\x2a\xa2\x9c\x01" + b"\x42\x00" * 10_001,
            {"inputs[0].contents.bytes_contents": "expected at most 10000 elements"},
        ),
    ],
)
def test_too_large_fields_are_refused_with_their_place(method, message, violations):
    assert refusal(message, LIMITS[method]) == violations


def test_a_refusal_stops_the_count():
    endless = b"\x0a\x00" * 1001 + b"\x0a\xff"  # which nobody could read to its end
    assert refusal(endless, LIMITS["PredictBatch"])


FIELDS = {5: Field("inputs", 2, within={8: Field("names", 1)}), 7: Field("raw", 3), 1: Field("name", 10**6)}


@given(
    inputs=st.integers(0, 4),
    raw=st.lists(st.binary(max_size=200), max_size=5),
    name=st.text(max_size=200),
    other=st.lists(st.sampled_from([b"\x08\x01", b"\x79" + bytes(8), b"\x7d" + bytes(4), b"\x7a\x03abc"]), max_size=4),
)
def test_it_counts_like_the_parser(inputs, raw, name, other):
    message = inference.ModelInferRequest(model_name=name, raw_input_contents=raw)
    for _ in range(inputs):
        message.inputs.add(name=name)
    written = b"".join(other) + message.SerializeToString() + b"".join(other)
    assert bool(refusal(written, FIELDS)) == (inputs > 2 or len(raw) > 3)


@given(message=st.binary(max_size=300) | st.binary(max_size=30).map(lambda part: b"\x0a\x00" * 5 + part))
def test_nothing_that_can_be_parsed_holds_more_than_was_counted(message):
    fields = {1: Field("profiles", 4)}
    try:
        parsed = pb.PredictBatchRequest.FromString(message)
    except DecodeError:
        return
    if len(parsed.profiles) > 4:
        assert refusal(message, fields)


@pytest.mark.parametrize("message", [b"\xff" * 2**21, b"\x0a", b"\x0a\xff\xff\xff\xff\x7f", b"\x0b" * 1000, b"\x0e"])
def test_unreadable_messages_are_left_to_the_parser(message):
    assert refusal(message, INFER) == {}
