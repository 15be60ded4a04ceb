"""Generated inputs: the same for the same seed, and bad in the way that their family says."""

import random
import zlib

import pytest

from drugpred.schemas import Batch, Profile
from drugpred.serving.v2.types import InferenceRequest
from loadtest.fuzz import bodies, cli, frames, http_inputs, inputs, key_inputs
from tests.loadtest.fuzz.conftest import FAMILIES, RIGHT


def test_the_same_seed_makes_the_same_inputs():
    planned = inputs.plan(cli.FAMILIES, 300, 1)
    assert len(planned) == 300
    assert {family.name for family, _ in planned} == {family.name for family in cli.FAMILIES}
    assert planned == inputs.plan(cli.FAMILIES, 300, 1) != inputs.plan(cli.FAMILIES, 300, 2)
    small = [(family, i) for family, i in planned if not family.alone]
    assert [inputs.generate(family, 1, i) for family, i in small] == [
        inputs.generate(family, 1, i) for family, i in small
    ]
    others = [inputs.generate(family, 2, i) == inputs.generate(family, 1, i) for family, i in small]
    assert sum(others) < len(others) / 4


def test_each_family_needs_an_input():
    with pytest.raises(ValueError, match=f"expected at least {len(cli.FAMILIES)} requests"):
        inputs.plan(cli.FAMILIES, 5, 1)


def test_altered_inputs_are_well_formed_before():
    Profile.model_validate_json(bodies.VALID[bodies.PREDICT])
    Batch.model_validate_json(bodies.VALID[bodies.BATCH])
    InferenceRequest.model_validate_json(bodies.VALID[bodies.INFER])


@pytest.mark.parametrize("path", ["/predict", "/predict_batch", "/v2/models/drug_consumption/infer"])
def test_most_inputs_are_bad(path):
    model = {"/predict": Profile, "/predict_batch": Batch}.get(path, InferenceRequest)
    good = 0
    for i in range(300):
        draw = random.Random(i)
        body = inputs.mutate(draw, bodies.VALID[path]) if i % 2 else bodies.values(draw, path)
        try:
            model.model_validate_json(body)
        except ValueError:
            continue
        good += 1
    assert good < 60


def test_well_framed_requests_have_the_length_that_they_say():
    for family in (*http_inputs.FAMILIES, key_inputs.families(RIGHT)[0]):
        for i in range(3):
            head, _, body = inputs.generate(family, 1, i).data.partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}\r\n".encode() in head + b"\r\n", family.name


def test_bodies_of_codings_and_marks_are_right_and_wrong():
    bodies = [inputs.generate(FAMILIES["content codings"], 1, i).data.partition(b"\r\n\r\n")[2] for i in range(60)]
    inflated = [wholly(body) for body in bodies]
    assert any(content is None for content in inflated)
    assert any(
        content and len(content) > 4 * 2**20 and len(body) < 2**20
        for body, content in zip(bodies, inflated, strict=True)
    )
    assert any(content and content.startswith(b"{") for content in inflated)
    marked = [inputs.generate(FAMILIES["byte order marks"], 1, i).data.partition(b"\r\n\r\n")[2] for i in range(100)]
    for mark in (b"\xef\xbb\xbf{", b"\xff\xfe{", b"{\x00"):
        assert any(body.startswith(mark) for body in marked)


def wholly(body):
    try:
        return zlib.decompress(body, 47)
    except zlib.error:
        return None


def test_a_key_behind_a_body_is_in_no_head():
    (*_, trailers) = key_inputs.families(RIGHT)
    for i in range(50):
        head, *_ = inputs.generate(trailers, 1, i).data.partition(b"\r\n\r\n")
        assert RIGHT.encode() not in head
        assert b"transfer-encoding: chunked" in head
    assert any(RIGHT.encode() in inputs.generate(trailers, 1, i).data for i in range(50))


def test_half_bodies_are_shorter_than_they_say():
    for i in range(50):
        head, _, body = inputs.generate(FAMILIES["HTTP, half bodies"], 1, i).data.partition(b"\r\n\r\n")
        assert len(body) < int(head.partition(b"content-length: ")[2].split()[0])


def test_a_half_message_is_shorter_than_it_says():
    for i in range(20):
        data = inputs.generate(FAMILIES["gRPC, half messages"], 1, i).data
        at, message = len(frames.PREFACE), b""
        while at < len(data):
            length, kind, flags = int.from_bytes(data[at : at + 3]), data[at + 3], data[at + 4]
            assert length <= 2**14
            assert not flags & 1  # the stream continues
            message += data[at + 9 : at + 9 + length] if kind == 0 else b""
            at += 9 + length
        assert at == len(data)
        assert int.from_bytes(message[1:5]) > len(message) - 5


def test_submessages_are_many_and_within_the_limit_of_grpc():
    for i in range(10):
        (message,) = inputs.generate(FAMILIES["gRPC, submessages"], 1, i).messages
        assert 1_900_000 < len(message) < 2 * 2**20 + 1_000_000


def test_keys_are_wrong_in_many_ways():
    http, rpc, _ = key_inputs.families(RIGHT)
    requests = [inputs.generate(http, 1, i).data for i in range(500)]
    calls = [inputs.generate(rpc, 1, i) for i in range(500)]
    right = RIGHT.encode()
    for sent in (requests, [repr(call).encode() for call in calls]):
        assert any(right in one for one in sent)
        assert any(right not in one and b"authorization" in one for one in sent)
        assert any(b"authorization" in one and b"x-api-key" in one for one in sent)
        assert any(b"authorization" not in one and b"x-api-key" not in one for one in sent)
        assert any(one.count(b"x-api-key") > 1 for one in sent)
    assert any(not one.partition(b"\r\n\r\n")[0].isascii() for one in requests)
    assert any(len(one) > 2**15 for one in requests)
    assert {type(call) for call in calls} == {inputs.Call, inputs.Exchange}
