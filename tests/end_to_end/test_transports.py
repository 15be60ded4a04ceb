"""One person at a time, every transport says the same to the last bit."""

import csv
import json
import re
import struct
from itertools import pairwise

import grpc
import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from rich.console import Console

from drugpred.bulk import run as bulk
from drugpred.client import Client
from drugpred.codebook import CATEGORIES, DRUGS, SUPPORT_LEVELS, WINDOWS
from drugpred.errors import InvalidRequestError
from drugpred.model import Model
from drugpred.proto.inference import grpc_service_pb2 as v2
from drugpred.proto.inference import grpc_service_pb2_grpc as v2_grpc
from drugpred.schemas import EXAMPLE, column_names
from drugpred.tabular import ColumnError

LABELS = {category.name for category in CATEGORIES}
PATH = "/v2/models/drug_consumption/infer"


def by_v2_rest(http, person, **parameters):
    """Return the value of each tensor of an answer by its name."""
    inputs = [
        {"name": name, "datatype": "BYTES" if name in LABELS else "FP64", "shape": [1], "data": [value]}
        for name, value in person.items()
    ]
    body = {"inputs": inputs} | ({"parameters": parameters} if parameters else {})
    answer = http.post(PATH, json=body).raise_for_status().json()
    return {output["name"]: output["data"][0] for output in answer["outputs"]}


def by_v2_grpc(stub, person, **parameters):
    request = v2.ModelInferRequest(model_name="drug_consumption")
    for name, value in person.items():
        tensor = request.inputs.add(name=name, datatype="BYTES" if name in LABELS else "FP64", shape=[1])
        if name in LABELS:
            tensor.contents.bytes_contents.append(value.encode())
        else:
            tensor.contents.fp64_contents.append(value)
    for name, value in parameters.items():
        request.parameters[name].string_param = value
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
            "V2 REST": [[*by_v2_rest(http, person).values()] for person in people],
            "V2 gRPC": [by_v2_grpc(stub, person) for person in people],
        }
    answers = {transport: np.array(values) for transport, values in said.items()}
    assert answers["HTTP"].shape == (377, len(DRUGS))
    for transport, values in answers.items():
        assert np.array_equal(values, answers["HTTP"]), transport


# --- labels that people use, and totals without their scale

PUBLISHED = EXAMPLE | {
    "age": "25-34",
    "education": "Doctorate degree",
    "country": "Republic of Ireland",
    "ethnicity": "Mixed-White/Asian",
}
PEOPLES = {
    "age": "25 to 34",
    "gender": "woman",
    "education": "PhD",
    "country": "ireland",
    "ethnicity": "Mixed White and Asian",
}


class RefusedError(Exception):
    """What a transport said of a malformed person."""


def over_http(server, person, body=None, path="/predict", **headers):
    with server.client() as client:
        answer = client.post(path, content=body or json.dumps(person).encode(), headers=headers)
    if answer.status_code != 200:
        raise RefusedError(answer.text)
    return answer


def by_http(server, person):
    return [risk["probability"] for risk in over_http(server, person).json()["risks"]]


def by_batch(server, person):
    answer = over_http(server, {"profiles": [person]}, path="/predict_batch")
    return [risk["probability"] for risk in answer.json()[0]["risks"]]


def by_client(url):
    def call(server, person):
        with Client(url(server)) as client:
            try:
                return [risk["probability"] for risk in client.predict(person).risks]
            except InvalidRequestError as error:
                raise RefusedError(str(error)) from None

    return call


def tensors_of(person):
    return [
        {"name": name, "datatype": "BYTES" if name in LABELS else "FP64", "shape": [1], "data": [value]}
        for name, value in person.items()
    ]


def by_json_tensors(server, person):
    answer = over_http(server, {"inputs": tensors_of(person)}, path=PATH)
    return [output["data"][0] for output in answer.json()["outputs"]]


def packed(value):
    return (
        struct.pack("<d", value) if isinstance(value, float | int) else struct.pack("<I", len(value)) + value.encode()
    )


def by_binary_tensors(server, person):
    tensors, binary = tensors_of(person), b""
    for tensor in tensors:
        content = packed(tensor.pop("data")[0])
        tensor["parameters"] = {"binary_data_size": len(content)}
        binary += content
    head = json.dumps({"inputs": tensors}).encode()
    answer = over_http(server, None, head + binary, PATH, **{"inference-header-content-length": str(len(head))})
    return [output["data"][0] for output in answer.json()["outputs"]]


def by_grpc_tensors(server, person, raw=False):
    request = v2.ModelInferRequest(model_name="drug_consumption")
    for name, value in person.items():
        tensor = request.inputs.add(name=name, datatype="BYTES" if name in LABELS else "FP64", shape=[1])
        if raw:
            request.raw_input_contents.append(packed(value))
        elif name in LABELS:
            tensor.contents.bytes_contents.append(value.encode())
        else:
            tensor.contents.fp64_contents.append(value)
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            answer = v2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
        except grpc.RpcError as error:
            raise RefusedError(error.details()) from None
    if raw:
        return [struct.unpack("<d", content)[0] for content in answer.raw_output_contents]
    return [output.contents.fp64_contents[0] for output in answer.outputs]


def by_raw_grpc_tensors(server, person):
    return by_grpc_tensors(server, person, raw=True)


def by_file(name):
    def call(server, person, model, folder):
        source, output = folder / name, folder / "scored.parquet"
        if name.endswith(".csv"):
            with source.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([person, person.values()])
        else:
            parquet.write_table(pa.table({key: [value] for key, value in person.items()}), source)
        planned = bulk.plan(source, output, model, bulk.Options(DRUGS, "decade", "standardized"))
        bulk.score(planned, Console(quiet=True), overwrite=True)
        rejected = folder / planned.sink.rejected
        if rejected.exists():
            raise RefusedError(rejected.read_text(encoding="utf-8"))
        (row,) = parquet.read_table(output).to_pylist()
        return [row[drug] for drug in DRUGS]

    return call


def by_frame(server, person, model, folder):
    try:
        return Model(model).predict_proba(pd.DataFrame([person])).iloc[0].tolist()
    except ColumnError as error:
        raise RefusedError(str(error)) from None


SERVED = {
    "HTTP": by_http,
    "HTTP batch": by_batch,
    "client over HTTP": by_client(lambda server: server.url),
    "client over gRPC": by_client(lambda server: f"grpc://{server.grpc}"),
    "V2 REST, JSON": by_json_tensors,
    "V2 REST, binary": by_binary_tensors,
    "V2 gRPC": by_grpc_tensors,
    "V2 gRPC, raw": by_raw_grpc_tensors,
}
FILES = {"CSV": by_file("people.csv"), "Parquet": by_file("people.parquet"), "DataFrame": by_frame}


@pytest.fixture(params=[*SERVED, *FILES])
def ask(request, server, stored_model, tmp_path):
    """Return a function that asks one transport for a person's probabilities."""
    if request.param in SERVED:
        return lambda person: SERVED[request.param](server, person)
    return lambda person: FILES[request.param](server, person, stored_model, tmp_path)


def test_every_transport_accepts_the_labels_that_people_use(ask):
    assert ask(PUBLISHED | PEOPLES) == ask(PUBLISHED)


def test_every_transport_names_the_scale_where_a_score_looks_like_a_total(ask):
    with pytest.raises(RefusedError) as caught:
        ask(PUBLISHED | {"openness": 37.0})
    assert "or with scale raw a total from 12 to 60" in str(caught.value)
    assert "37" not in str(caught.value)


# --- intervals and support


ADDED = {"include": ["interval", "support"], "window": "year"}
NAMES = column_names(DRUGS, ADDED["include"])
V2_ADDED = {"include": "interval,support", "window": "year"}


def line(answer):
    """The figures of an answer as JSON, in the order of the columns."""
    support = answer["support"]
    figures = [figure for risk in answer["risks"] for figure in (risk["probability"], *risk["interval"].values())]
    return [*figures, support["similar"], support["percentile"], SUPPORT_LEVELS.index(support["level"])]


def test_all_give_the_same_bounds_and_support(server, people, real, stored_model):
    people, rows = people[::60], real.X[::60]
    asked = [person | ADDED for person in people]
    with (
        Client(server.url) as rest,
        Client(f"grpc://{server.grpc}") as rpc,
        httpx.Client(base_url=server.url) as http,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        stub = v2_grpc.GRPCInferenceServiceStub(channel)
        by_rest = [by_v2_rest(http, person, **V2_ADDED) for person in people]
        assert all([name.replace(".", "_") for name in tensors] == NAMES for tensors in by_rest)
        found = {
            "HTTP": [line(http.post("/predict", json=person).json()) for person in asked],
            "HTTP batch": [line(each) for each in http.post("/predict_batch", json={"profiles": asked}).json()],
            "client over HTTP": [line(rest.predict(person).model_dump()) for person in asked],
            "gRPC": [line(rpc.predict(person).model_dump()) for person in asked],
            "gRPC batch": [line(each.model_dump()) for each in rpc.predict_batch(asked)],
            "stream over HTTP": next(iter(rest.stream([rows], **ADDED))),
            "stream": next(iter(rpc.stream([rows], **ADDED))),
            "V2 REST": [[*tensors.values()] for tensors in by_rest],
            "V2 gRPC": [by_v2_grpc(stub, person, **V2_ADDED) for person in people],
            "explained": [
                line(http.post("/predict", json=person | {"include": [*ADDED["include"], "explanation"]}).json())
                for person in asked[:3]
            ],
        }
        (frame,) = rpc.stream(pd.DataFrame(people), **ADDED)
    table = Model(stored_model).predict_proba(pd.DataFrame(people), "year", include=ADDED["include"])
    assert list(table) == list(frame) == NAMES
    pd.testing.assert_frame_equal(table, frame, atol=1e-9, rtol=0)
    found["Python"] = table.assign(level=table["level"].map(SUPPORT_LEVELS.index)).to_numpy(float)
    probabilities = stored_model.predictor.predict_proba(rows)
    low, high = stored_model.uncertainty.intervals(rows, probabilities)
    of_drugs = np.stack([probabilities, low, high], axis=-1)[:, :, WINDOWS.index("year")].reshape(len(rows), -1)
    expected = np.column_stack([of_drugs, *stored_model.uncertainty.support(rows)])
    for transport, values in found.items():
        np.testing.assert_allclose(values, expected[: len(values)], atol=1e-9, rtol=0, err_msg=transport)


@pytest.mark.conformance
def test_windows_and_intervals_together_have_an_interval_of_every_window(server):
    asked = EXAMPLE | {"include": ["windows", "interval"], "drugs": ["lsd", "heroin"]}
    with server.client() as client:
        content = client.post("/predict", json=asked).json()
        (again,) = client.post("/predict_batch", json={"profiles": [asked]}).json()
    assert "support" not in content
    assert again["risks"] == content["risks"]
    with Client(f"grpc://{server.grpc}") as rpc:
        assert rpc.predict(asked).model_dump()["risks"] == content["risks"]
    for risk in content["risks"]:
        assert list(risk)[-3:] == ["windows", "interval", "window_intervals"]
        assert risk["interval"] == risk["window_intervals"]["decade"]
        bounds = [(each["low"], each["high"]) for each in risk["window_intervals"].values()]
        assert list(risk["window_intervals"]) == list(WINDOWS)
        assert all(wide >= narrow for a, b in pairwise(bounds) for wide, narrow in zip(a, b, strict=True))
        for p, (low, high) in zip(risk["windows"].values(), bounds, strict=True):
            assert low <= p <= high


def test_without_the_fast_path_the_text_is_the_same(client):
    asked = EXAMPLE | {"include": ["windows", "interval", "support"]}
    # It passes on a request from another page.
    answers = [client.post("/predict", json=asked, headers=headers) for headers in ({}, {"origin": "http://x"})]
    fast, slow = (re.sub('"prediction_id":"[^"]*"', "", answer.text) for answer in answers)
    assert fast == slow


@pytest.mark.parametrize("include", ["windows", "explanation"])
def test_streams_have_no_other_additions(server, real, include):
    with Client(f"grpc://{server.grpc}") as rpc, pytest.raises(InvalidRequestError):
        next(iter(rpc.stream([real.X[:2]], include=[include])))
