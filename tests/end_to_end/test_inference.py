"""The Open Inference Protocol of a real server, by plain requests and by a client that knows nothing of drugpred."""

import json
import subprocess
from pathlib import Path

import grpc
import numpy as np
import pytest

from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, WINDOWS
from drugpred.proto.inference import grpc_service_pb2 as pb
from drugpred.proto.inference import grpc_service_pb2_grpc as pb_grpc
from drugpred.schemas import Error

MODEL = "drug_consumption"
LABELS = {category.name for category in CATEGORIES}


@pytest.fixture(scope="module")
def columns(people):
    return {name: [person[name] for person in people] for name in INPUTS}


@pytest.fixture(scope="module")
def ask(client, columns):
    """Return a function that predicts for everybody over REST."""

    def post(**changes):
        inputs = [
            {"name": name, "datatype": "BYTES" if name in LABELS else "FP64", "shape": [len(data)], "data": data}
            for name, data in (columns | changes).items()
        ]
        return client.post(f"/v2/models/{MODEL}/infer", json={"inputs": inputs})

    return post


@pytest.mark.conformance
def test_every_respondent_is_answered_alike_over_rest_and_grpc(ask, server, columns, expected):
    by_rest = {output["name"]: output["data"] for output in ask().json()["outputs"]}
    request = pb.ModelInferRequest(model_name=MODEL)
    for name, data in columns.items():
        tensor = request.inputs.add(name=name, datatype="BYTES" if name in LABELS else "FP64", shape=[len(data)])
        if name in LABELS:
            tensor.contents.bytes_contents.extend(label.encode() for label in data)
        else:
            tensor.contents.fp64_contents.extend(data)
    with grpc.insecure_channel(server.grpc) as channel:
        answer = pb_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60)
    by_grpc = {output.name: list(output.contents.fp64_contents) for output in answer.outputs}
    assert by_rest == by_grpc
    decade = expected[:, :, WINDOWS.index("decade")]
    np.testing.assert_allclose(np.column_stack([by_rest[drug] for drug in DRUGS]), decade, rtol=0, atol=1e-12)


@pytest.mark.conformance
def test_malformed_requests_are_refused_in_the_error_format(ask, client):
    answer = ask(openness=[*[0.0] * 1000, -9.0, *[0.0] * 884])
    error = Error.model_validate_json(answer.content, strict=True)
    assert answer.status_code == 400
    assert [(detail.loc, detail.msg) for detail in error.detail] == [
        (["inputs", "openness", "data", 1000], "expected a number from -3.27393 to 2.90161")
    ]
    answer = client.get("/v2/models/zebra")
    assert (answer.status_code, Error.model_validate_json(answer.content, strict=True).detail) == (404, [])


@pytest.mark.slow
def test_the_triton_client_is_answered(triton, server, columns, expected):
    done = subprocess.run(
        [triton, Path(__file__).with_name("triton_client.py"), server.url.removeprefix("http://"), server.grpc],
        input=json.dumps(columns | {"drugs": DRUGS}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    answers = [told["rest json"], told["rest binary"], told["grpc raw"]]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["id"] == "all"
    assert told["compressed"] == [answers[0]["decade"][0]] * 4
    for window in ("decade", "month"):
        of_window = expected[:, :, WINDOWS.index(window)].T
        np.testing.assert_allclose(answers[0][window], of_window, rtol=0, atol=1e-12)
    for transport, malformed, unknown in (
        ("rest", "400", "404"),
        ("grpc", "StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND"),
    ):
        assert told[transport]["ready"] == [True, True, True]
        assert told[transport]["server"]["name"] == "drugpred"
        assert [tensor["name"] for tensor in told[transport]["model"]["inputs"]] == list(INPUTS)
        assert [told[transport][kind][0] for kind in ("refusal", "unknown")] == [malformed, unknown]
    assert told["grpc"]["refusal"][1].startswith("inputs.openness.data[0]: expected a number from ")
