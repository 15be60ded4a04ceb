"""One person at a time, every transport says the same to the last bit."""

import grpc
import httpx
import numpy as np
import pytest

from drugpred.client import Client
from drugpred.codebook import CATEGORIES, DRUGS
from drugpred.proto.inference import grpc_service_pb2 as v2
from drugpred.proto.inference import grpc_service_pb2_grpc as v2_grpc

LABELS = {category.name for category in CATEGORIES}
PATH = "/v2/models/drug_consumption/infer"


def by_v2_rest(http, person):
    inputs = [
        {"name": name, "datatype": "BYTES" if name in LABELS else "FP64", "shape": [1], "data": [value]}
        for name, value in person.items()
    ]
    outputs = http.post(PATH, json={"inputs": inputs}).raise_for_status().json()["outputs"]
    return [output["data"][0] for output in outputs]


def by_v2_grpc(stub, person):
    request = v2.ModelInferRequest(model_name="drug_consumption")
    for name, value in person.items():
        tensor = request.inputs.add(name=name, datatype="BYTES" if name in LABELS else "FP64", shape=[1])
        if name in LABELS:
            tensor.contents.bytes_contents.append(value.encode())
        else:
            tensor.contents.fp64_contents.append(value)
    return [output.contents.fp64_contents[0] for output in stub.ModelInfer(request).outputs]


@pytest.mark.slow
def test_all_give_the_same_to_the_last_bit(server, people, real):
    people, rows = people[::5], real.X[::5]
    with (
        Client(server.url) as rest,
        Client(f"grpc://{server.grpc}") as rpc,
        httpx.Client(base_url=server.url) as http,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        stub = v2_grpc.GRPCInferenceServiceStub(channel)
        said = {
            "HTTP": [[risk["probability"] for risk in rest.predict(person).risks] for person in people],
            "gRPC": [[risk["probability"] for risk in rpc.predict(person).risks] for person in people],
            "stream": [chunk[0] for chunk in rpc.stream(row[np.newaxis] for row in rows)],
            "V2 REST": [by_v2_rest(http, person) for person in people],
            "V2 gRPC": [by_v2_grpc(stub, person) for person in people],
        }
    answers = {transport: np.array(values) for transport, values in said.items()}
    assert answers["HTTP"].shape == (377, len(DRUGS))
    for transport, values in answers.items():
        assert np.array_equal(values, answers["HTTP"]), transport
