"""The Open Inference Protocol over gRPC, through a real channel."""

import asyncio
import struct

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from grpc import StatusCode
from grpc_health.v1.health import aio as health
from hypothesis import given
from hypothesis import strategies as st

from drugpred import __version__
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, WINDOWS, describe
from drugpred.proto.inference import grpc_service_pb2 as pb
from drugpred.proto.inference import grpc_service_pb2_grpc as pb_grpc
from drugpred.schemas import EXAMPLE
from drugpred.scoring import Scorer
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.grpc.interceptor import CallInterceptor
from drugpred.serving.v2.dataplane import DataPlane
from drugpred.serving.v2.grpc import InferenceServicer
from drugpred.settings import Settings

MODEL = "drug_consumption"
LABELS = {category.name for category in CATEGORIES}
PERSON = EXAMPLE | {"age": "25-34"}
Input = pb.ModelInferRequest.InferInputTensor
Output = pb.ModelInferRequest.InferRequestedOutputTensor

# The public standard: each message's fields by number, with their types. Repeated ones are in brackets.
STANDARD = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {1: "live bool"},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {1: "ready bool"},
    "ModelReadyRequest": {1: "name string", 2: "version string"},
    "ModelReadyResponse": {1: "ready bool"},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {1: "name string", 2: "version string", 3: "extensions [string]"},
    "ModelMetadataRequest": {1: "name string", 2: "version string"},
    "ModelMetadataResponse": {
        1: "name string",
        2: "versions [string]",
        3: "platform string",
        4: "inputs [ModelMetadataResponse.TensorMetadata]",
        5: "outputs [ModelMetadataResponse.TensorMetadata]",
    },
    "ModelMetadataResponse.TensorMetadata": {1: "name string", 2: "datatype string", 3: "shape [int64]"},
    "ModelInferRequest": {
        1: "model_name string",
        2: "model_version string",
        3: "id string",
        4: "parameters [ModelInferRequest.ParametersEntry]",
        5: "inputs [ModelInferRequest.InferInputTensor]",
        6: "outputs [ModelInferRequest.InferRequestedOutputTensor]",
        7: "raw_input_contents [bytes]",
    },
    "ModelInferRequest.ParametersEntry": {1: "key string", 2: "value InferParameter"},
    "ModelInferRequest.InferInputTensor": {
        1: "name string",
        2: "datatype string",
        3: "shape [int64]",
        4: "parameters [ModelInferRequest.InferInputTensor.ParametersEntry]",
        5: "contents InferTensorContents",
    },
    "ModelInferRequest.InferInputTensor.ParametersEntry": {1: "key string", 2: "value InferParameter"},
    "ModelInferRequest.InferRequestedOutputTensor": {
        1: "name string",
        2: "parameters [ModelInferRequest.InferRequestedOutputTensor.ParametersEntry]",
    },
    "ModelInferRequest.InferRequestedOutputTensor.ParametersEntry": {1: "key string", 2: "value InferParameter"},
    "ModelInferResponse": {
        1: "model_name string",
        2: "model_version string",
        3: "id string",
        4: "parameters [ModelInferResponse.ParametersEntry]",
        5: "outputs [ModelInferResponse.InferOutputTensor]",
        6: "raw_output_contents [bytes]",
    },
    "ModelInferResponse.ParametersEntry": {1: "key string", 2: "value InferParameter"},
    "ModelInferResponse.InferOutputTensor": {
        1: "name string",
        2: "datatype string",
        3: "shape [int64]",
        4: "parameters [ModelInferResponse.InferOutputTensor.ParametersEntry]",
        5: "contents InferTensorContents",
    },
    "ModelInferResponse.InferOutputTensor.ParametersEntry": {1: "key string", 2: "value InferParameter"},
    "InferParameter": {
        1: "bool_param bool",
        2: "int64_param int64",
        3: "string_param string",
        4: "double_param double",
        5: "uint64_param uint64",
    },
    "InferTensorContents": {
        1: "bool_contents [bool]",
        2: "int_contents [int32]",
        3: "int64_contents [int64]",
        4: "uint_contents [uint32]",
        5: "uint64_contents [uint64]",
        6: "fp32_contents [float]",
        7: "fp64_contents [double]",
        8: "bytes_contents [bytes]",
    },
}
METHODS = ["ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"]


@pytest.fixture(scope="module")
def call(stored_model):
    """Return a function that calls a method of a server in this process."""
    with asyncio.Runner() as runner:

        async def start():
            server = grpc.aio.server(interceptors=[CallInterceptor(AccessPolicy.from_settings(Settings()))])
            servicer = InferenceServicer(DataPlane(Scorer(stored_model)), health.HealthServicer())
            pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            return server, grpc.aio.insecure_channel(f"127.0.0.1:{port}")

        server, channel = runner.run(start())
        stub = pb_grpc.GRPCInferenceServiceStub(channel)

        async def ask(method, request):
            return await getattr(stub, method)(request)

        yield lambda method, request: runner.run(ask(method, request))
        runner.run(channel.close())
        runner.run(server.stop(None))


@pytest.fixture(scope="module")
def infer(call):
    return lambda request: call("ModelInfer", request)


@pytest.fixture(scope="module")
def refusal(infer):
    """Return the message that a request is refused with."""

    def ask(request, code=StatusCode.INVALID_ARGUMENT):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            infer(request)
        assert caught.value.code() == code
        return caught.value.details()

    return ask


def request_for(*people, raw=False, datatype="FP64", shape=None, **options):
    """A request for people, its contents typed or raw."""
    request = pb.ModelInferRequest(model_name=MODEL, **options)
    for name in INPUTS:
        data = [person[name] for person in people]
        tensor = request.inputs.add(name=name, shape=shape or [len(people)])
        tensor.datatype = "BYTES" if name in LABELS else datatype
        if name in LABELS:
            data = [label.encode() for label in data]
        if raw and name in LABELS:
            request.raw_input_contents.append(b"".join(struct.pack("<I", len(each)) + each for each in data))
        elif raw:
            request.raw_input_contents.append(np.array(data, {"FP64": "<f8", "FP32": "<f4"}[datatype]).tobytes())
        else:
            field = {"BYTES": "bytes_contents", "FP64": "fp64_contents", "FP32": "fp32_contents"}[tensor.datatype]
            getattr(tensor.contents, field).extend(data)
    return request


def read(response):
    """The columns of an answer, in either form."""
    columns = {}
    for i, output in enumerate(response.outputs):
        assert (output.datatype, output.HasField("contents")) == ("FP64", not response.raw_output_contents)
        if response.raw_output_contents:
            columns[output.name] = np.frombuffer(response.raw_output_contents[i], "<f8").tolist()
        else:
            columns[output.name] = list(output.contents.fp64_contents)
        assert output.shape == [len(columns[output.name])]
    return columns


@pytest.fixture(scope="module")
def everybody(real):
    return [describe(row) for row in real.X.tolist()]


# --- contract


def messages(descriptors, within=""):
    for descriptor in descriptors:
        yield f"{within}{descriptor.name}", descriptor
        yield from messages(descriptor.nested_types, f"{within}{descriptor.name}.")


def spelled(field):
    kind = field.message_type.full_name.removeprefix("inference.") if field.message_type else KINDS[field.type]
    return f"{field.name} [{kind}]" if field.is_repeated else f"{field.name} {kind}"


KINDS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}


def test_the_contract_is_the_standards():
    found = dict(messages(pb.DESCRIPTOR.message_types_by_name.values()))
    assert {
        name: {field.number: spelled(field) for field in descriptor.fields} for name, descriptor in found.items()
    } == STANDARD
    assert [field.name for field in found["InferParameter"].oneofs_by_name["parameter_choice"].fields] == [
        "bool_param",
        "int64_param",
        "string_param",
        "double_param",
        "uint64_param",
    ]
    assert pb.DESCRIPTOR.package == "inference"
    methods = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    assert [method.name for method in methods] == METHODS
    assert all(
        (method.input_type.name, method.output_type.name) == (f"{method.name}Request", f"{method.name}Response")
        for method in methods
    )


# --- metadata


def test_the_server_metadata(call):
    assert call("ServerLive", pb.ServerLiveRequest()).live
    assert call("ServerReady", pb.ServerReadyRequest()).ready
    assert call("ServerMetadata", pb.ServerMetadataRequest()) == pb.ServerMetadataResponse(
        name="drugpred", version=__version__, extensions=["binary_tensor_data"]
    )


def test_the_model_metadata(call, stored_model):
    version = stored_model.tag.partition(":")[2]
    for said in ("", version):
        assert call("ModelReady", pb.ModelReadyRequest(name=MODEL, version=said)).ready
        metadata = call("ModelMetadata", pb.ModelMetadataRequest(name=MODEL, version=said))
        assert (metadata.name, list(metadata.versions)) == (MODEL, [version])
        assert [(each.name, each.datatype, list(each.shape)) for each in metadata.inputs] == [
            (name, "BYTES" if name in LABELS else "FP64", [-1]) for name in INPUTS
        ]
        assert [(each.name, each.datatype, list(each.shape)) for each in metadata.outputs] == [
            (drug, "FP64", [-1]) for drug in DRUGS
        ]


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ModelReady", pb.ModelReadyRequest(name="zebra")),
        ("ModelReady", pb.ModelReadyRequest()),
        ("ModelMetadata", pb.ModelMetadataRequest(name=MODEL, version="zebra")),
        ("ModelInfer", pb.ModelInferRequest(model_name="zebra")),
        ("ModelInfer", pb.ModelInferRequest(model_name=MODEL, model_version="zebra")),
    ],
    ids=lambda value: str(value).strip(),
)
def test_other_models_are_not_found(call, method, request_):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        call(method, request_)
    assert caught.value.code() == StatusCode.NOT_FOUND
    assert caught.value.details() == "model not found"


# --- answers


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("window", WINDOWS)
def test_every_respondent_gets_exactly_the_prediction(infer, everybody, stored_model, real, raw, window):
    response = infer(request_for(*everybody, raw=raw, parameters={"window": pb.InferParameter(string_param=window)}))
    expected = stored_model.predictor.predict_proba(real.X)[:, :, WINDOWS.index(window)].T.tolist()
    assert read(response) == dict(zip(DRUGS, expected, strict=True))
    assert list(read(response)) == list(DRUGS)
    assert bool(response.raw_output_contents) == raw


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_scores_may_be_of_single_precision(infer, everybody, raw):
    double, single = (
        np.array(list(read(infer(request_for(*everybody, raw=raw, datatype=datatype))).values()))
        for datatype in ("FP64", "FP32")
    )
    assert np.abs(double - single).max() < 1e-6


def test_an_answer_names_model_and_window(infer, stored_model):
    request = request_for(PERSON, PERSON, shape=[2, 1], id="an id", outputs=[Output(name="lsd"), Output(name="crack")])
    response = infer(request)
    assert (response.model_name, response.model_version) == (MODEL, stored_model.tag.partition(":")[2])
    assert response.id == "an id"
    assert list(read(response)) == ["lsd", "crack"]
    assert {name: parameter.string_param for name, parameter in response.parameters.items()} == {
        "window": "decade",
        "data_source": "uci",
    }
    assert infer(request_for(PERSON)).id == ""


def test_raw_totals_are_taken(infer, refusal):
    neo = ["neuroticism", "extraversion", "openness", "agreeableness", "conscientiousness"]
    totals = request_for(PERSON | dict.fromkeys(neo, 36), parameters={"scale": pb.InferParameter(string_param="raw")})
    values = [0.04257, -0.57545, -1.42424, -1.07533, -0.78155]
    assert read(infer(totals)) == read(infer(request_for(PERSON | dict(zip(neo, values, strict=True)))))
    del totals.parameters["scale"]
    assert refusal(totals).startswith("inputs.neuroticism.data[0]: expected a number from ")


def test_parameters_of_other_clients_are_accepted(infer):
    content_type = pb.InferParameter(string_param="np")
    request = request_for(PERSON, parameters={"content_type": content_type}, outputs=[Output(name="lsd")])
    for tensor in (*request.inputs, *request.outputs):
        tensor.parameters["content_type"].CopyFrom(content_type)
    assert read(infer(request)) == {"lsd": read(infer(request_for(PERSON)))["lsd"]}
    beside_raw = request_for(PERSON, raw=True)
    for tensor in beside_raw.inputs:
        tensor.contents.SetInParent()
        parameter(tensor, "binary_data_size", int64_param=8)
    assert read(infer(beside_raw)) == read(infer(request_for(PERSON)))


# --- refusals


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_a_value_is_refused_by_tensor_and_row(refusal, raw):
    for change, message in (
        ({"gender": "zebra"}, "inputs.gender.data[2]: expected one of Female | Male | F | M"),
        ({"openness": 2.91}, "inputs.openness.data[2]: expected a number from -3.27393 to 2.90161"),
        ({"openness": float("nan")}, "inputs.openness.data[2]: expected a number from -3.27393 to 2.90161"),
    ):
        assert refusal(request_for(PERSON, PERSON, PERSON | change, raw=raw)) == message


def changed(change, raw=False):
    request = request_for(PERSON, raw=raw)
    change(request)
    return request


def parameter(of, name="zebra", **choice):
    of.parameters[name].CopyFrom(pb.InferParameter(**choice))


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        (pb.ModelInferRequest(model_name=MODEL), "inputs.age"),
        (pb.ModelInferRequest(model_name=MODEL, raw_input_contents=[b""]), "raw_input_contents"),
        (changed(lambda it: it.inputs.pop()), "inputs.sensation_seeking"),
        (changed(lambda it: it.inputs.pop(), raw=True), "raw_input_contents"),
        (changed(lambda it: it.inputs.append(it.inputs[0])), "inputs"),
        (changed(lambda it: it.inputs[0].MergeFrom(Input(name="zebra"))), "inputs[0].name"),
        (changed(lambda it: it.inputs[0].MergeFrom(Input(datatype="FP64"))), "inputs.age.datatype"),
        (changed(lambda it: it.inputs[0].MergeFrom(Input(datatype="zebra"))), "inputs.age.datatype"),
        (changed(lambda it: it.inputs[5].MergeFrom(Input(datatype="FP32"))), "inputs.neuroticism.data"),
        (changed(lambda it: it.inputs[0].MergeFrom(Input(shape=[2]))), "inputs.age.shape"),
        (changed(lambda it: it.inputs[0].ClearField("shape")), "inputs.age.shape"),
        (changed(lambda it: it.inputs[5].ClearField("contents")), "inputs.neuroticism.data"),
        (changed(lambda it: it.inputs[5].contents.fp64_contents.append(1.0)), "inputs.neuroticism.data"),
        (changed(lambda it: it.inputs[5].contents.fp64_contents.append(1.0), raw=True), "inputs[5].contents"),
        (changed(lambda it: it.raw_input_contents.append(b""), raw=True), "raw_input_contents"),
        (changed(lambda it: it.outputs.append(Output(name="zebra"))), "outputs[0].name"),
        (changed(lambda it: it.outputs.extend([Output(name="lsd")] * 2)), "outputs[1].name"),
        (changed(lambda it: parameter(it, bool_param=True)), "parameters"),
        (changed(lambda it: parameter(it, "window", string_param="zebra")), "parameters.window"),
        (changed(lambda it: parameter(it, "window", int64_param=1)), "parameters.window"),
        (changed(lambda it: parameter(it, "window")), "parameters.window"),
        (changed(lambda it: parameter(it, "scale", double_param=1.0)), "parameters.scale"),
        (changed(lambda it: parameter(it, "binary_data_output", int64_param=1)), "parameters.binary_data_output"),
        (changed(lambda it: parameter(it.inputs[3], uint64_param=1)), "inputs[3].parameters"),
        (changed(lambda it: parameter(it.outputs.add(name="lsd"), string_param="a")), "outputs[0].parameters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_malformed_requests_are_refused_by_place(refusal, request_, place):
    message = refusal(request_)
    assert message.startswith(f"{place}: ")


def test_ever_so_many_parameters_are_refused_in_few_words(refusal):
    request = request_for(PERSON)
    for i in range(10_000):
        parameter(request, f"p{i}", bool_param=True)
    assert len(refusal(request)) < 5000


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_a_request_holds_up_to_10000_people(infer, refusal, raw):
    assert {len(column) for column in read(infer(request_for(*[PERSON] * 10_000, raw=raw))).values()} == {10_000}
    message = refusal(request_for(*[PERSON] * 10_001, raw=raw))
    assert message == (
        "inputs.age.shape: expected [n] or [n, 1], n from 1 to 10000"
        if raw
        else "inputs[0].contents.bytes_contents: expected at most 10000 elements"
    )


MARK = "QZX7531904286"


@given(tensor=st.integers(0, 11), field=st.sampled_from(["name", "datatype"]), raw=st.booleans())
def test_no_refusal_repeats_a_sent_value(refusal, tensor, field, raw):
    request = request_for(PERSON | {"gender": MARK}, raw=raw)
    assert MARK not in refusal(request)
    setattr(request.inputs[tensor], field, MARK)
    assert MARK not in refusal(request)
