"""The right API key on inputs, and answers without it."""

import re
from collections import Counter

import pytest

from loadtest.fuzz import auth, cli, frames, inputs, oracle
from tests.loadtest.fuzz.conftest import RIGHT


def test_the_key_comes_with_nine_inputs_of_ten():
    with_key = Counter()
    for family, i in inputs.plan([one for one in cli.FAMILIES if not one.alone], 3000, 1):
        sent, same = (auth.with_key(family, 1, i, RIGHT) for _ in range(2))
        assert sent == same
        bare = inputs.generate(family, 1, i)
        if isinstance(sent, inputs.Call):
            with_key[family.name] += RIGHT in str(sent.metadata)
            assert sent._replace(metadata=bare.metadata) == bare
        else:
            with_key[family.name] += RIGHT.encode() in sent.data
            assert re.sub(rb"(authorization: Bearer|x-api-key:) " + RIGHT.encode() + b"\r\n", b"", sent.data) == (
                bare.data if sent.port is inputs.Port.HTTP else sent.data
            )
    assert 0.85 < with_key["JSON, bytes altered"] / 642 < 0.95
    assert 0.8 < with_key["gRPC, bytes altered"] / 172 < 1
    assert not {name for name in ("methods", "paths", "HTTP, malformed", "HTTP/2 frames") if not with_key[name]}
    opening = frames.call(b"/a/B", b"message", [])
    assert frames.with_header(opening, (b"x-api-key", b"k")) == frames.call(b"/a/B", b"message", [(b"x-api-key", b"k")])
    assert frames.with_header(b"no frames", (b"x-api-key", b"k")) == b"no frames"


@pytest.mark.parametrize(
    ("request_", "status", "wrong"),
    [
        ("POST /predict", "200", True),
        ("POST /predict", "401", False),
        ("GET /metrics", "200", True),
        ("GET /health", "200", False),
        ("POST /predict\nx-api-key: {key}", "200", False),
        ("POST /predict\nauthorization: Bearer {key}", "200", False),
        ("POST /predict\nx-api-key: {key}x", "200", True),
        ("POST /predict\nx-api-key: Zq7Marked3{key}", "200", True),
        ("POST /predict\n\n0\nx-api-key: {key}", "200", True),
    ],
)
def test_requests_accepted_without_the_key(request_, status, wrong):
    first, *lines = request_.format(key=RIGHT).split("\n")
    data = "\r\n".join([f"{first} HTTP/1.1", *lines, "", ""]).encode()
    assert auth.admitted(inputs.Exchange(data), oracle.Outcome(status), RIGHT) == wrong


def test_calls_accepted_without_the_key():

    def let(method, status="OK", **metadata):
        return auth.admitted(inputs.Call(method, [b""], metadata=list(metadata.items())), oracle.Outcome(status), RIGHT)

    assert let("/drugpred.v1.DrugPrediction/Predict")
    assert let("/drugpred.v1.DrugPrediction/Predict", authorization=f"Bearer {RIGHT}x")
    assert not let("/drugpred.v1.DrugPrediction/Predict", authorization=f"Bearer {RIGHT}")
    assert not let("/drugpred.v1.DrugPrediction/Predict", "UNAUTHENTICATED")
    assert not let("/grpc.health.v1.Health/Check")

    def framed(status, *fields):
        data = frames.call(b"/a/B", b"", fields)
        return auth.admitted(inputs.Exchange(data, port=inputs.Port.GRPC), oracle.Outcome(status), RIGHT)

    assert framed("message")
    assert not framed("headers")
    assert not framed("message", (b"x-api-key", RIGHT.encode()))
