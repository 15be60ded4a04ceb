"""The Open Inference Protocol (V2) over gRPC."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from grpc_health.v1 import health_pb2
from pydantic import ValidationError
from typing_extensions import override

from drugpred.monitoring.rejection_metrics import count_tensors
from drugpred.proto.inference import grpc_service_pb2 as pb
from drugpred.proto.inference import grpc_service_pb2_grpc as pb_grpc
from drugpred.serving.scheduling import exclusive
from drugpred.serving.v2.dataplane import InvalidTensorError, Tensor
from drugpred.serving.v2.types import InputParameters, OutputParameters, Parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grpc.aio import ServicerContext
    from grpc_health.v1.health import aio as health

    from drugpred.serving.v2.dataplane import DataPlane

_Checked = TypeVar("_Checked", Parameters, InputParameters, OutputParameters)


class InferenceServicer(pb_grpc.GRPCInferenceServiceServicer):
    """The service inference.GRPCInferenceService, with the data plane of REST.

    It is ready when the health service reports SERVING.
    """

    def __init__(self, plane: DataPlane, health: health.HealthServicer) -> None:
        self._plane = plane
        self._health = health

    @override
    async def ServerLive(self, request: pb.ServerLiveRequest, context: ServicerContext) -> pb.ServerLiveResponse:
        """Return that the process is alive."""
        return pb.ServerLiveResponse(live=True)

    @override
    async def ServerReady(self, request: pb.ServerReadyRequest, context: ServicerContext) -> pb.ServerReadyResponse:
        """Return whether predictions are answered."""
        return pb.ServerReadyResponse(ready=await self._is_ready(context))

    @override
    async def ModelReady(self, request: pb.ModelReadyRequest, context: ServicerContext) -> pb.ModelReadyResponse:
        """Return whether the model is ready."""
        self._plane.check_model(request.name, request.version)
        return pb.ModelReadyResponse(ready=await self._is_ready(context))

    @override
    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: ServicerContext
    ) -> pb.ServerMetadataResponse:
        """Return the server's metadata."""
        return pb.ServerMetadataResponse(**self._plane.server.model_dump())

    @override
    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: ServicerContext
    ) -> pb.ModelMetadataResponse:
        """Return the model's metadata: its input and output tensors."""
        self._plane.check_model(request.name, request.version)
        return pb.ModelMetadataResponse(**self._plane.model.model_dump())

    @override
    async def ModelInfer(self, request: pb.ModelInferRequest, context: ServicerContext) -> pb.ModelInferResponse:
        """Return predictions for up to 10,000 people; raw contents if the request has them."""
        self._plane.check_model(request.model_name, request.model_version)
        try:
            async with exclusive(request.ByteSize()):
                return await self._inferred(request)
        except InvalidTensorError as error:
            count_tensors(error.details)
            raise

    async def _inferred(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        parameters = _checked(Parameters, request.parameters, "parameters")
        by_drug = await self._plane.infer(_tensors(request), _drugs(request), parameters)
        response = pb.ModelInferResponse(model_name=self._plane.name, model_version=self._plane.version, id=request.id)
        response.parameters["window"].string_param = parameters.window
        response.parameters["data_source"].string_param = self._plane.data_source
        for drug, column in by_drug.items():
            output = response.outputs.add(name=drug, datatype="FP64", shape=[len(column)])
            if request.raw_input_contents:
                response.raw_output_contents.append(column.astype("<f8", copy=False).tobytes())
            else:
                output.contents.fp64_contents.extend(column.tolist())
        return response

    async def _is_ready(self, context: ServicerContext) -> bool:
        answer = await self._health.Check(health_pb2.HealthCheckRequest(), context)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _drugs(request: pb.ModelInferRequest) -> Iterator[str]:
    for i, output in enumerate(request.outputs):
        _checked(OutputParameters, output.parameters, "outputs", i, "parameters")
        yield output.name


def _tensors(request: pb.ModelInferRequest) -> Iterator[Tensor]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidTensorError.at("raw_input_contents", expected="one for each input, or none")
    for i, tensor in enumerate(request.inputs):
        _checked(InputParameters, tensor.parameters, "inputs", i, "parameters")
        if raw and tensor.contents.ByteSize():
            raise InvalidTensorError.at("inputs", i, "contents", expected="none with raw_input_contents")
        data = raw[i] if raw else _contents(tensor)
        yield Tensor(tensor.name, tensor.datatype, tensor.shape, data)


def _contents(tensor: pb.ModelInferRequest.InferInputTensor) -> Sequence[object]:
    fields = {"BYTES": "bytes_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "INT64": "int64_contents"}
    return getattr(tensor.contents, fields.get(tensor.datatype, ""), ())


def _checked(model: type[_Checked], parameters: Mapping[str, pb.InferParameter], *place: str | int) -> _Checked:
    choices: dict[str, Any] = {}
    for name, parameter in islice(parameters.items(), 10):  # more than are known, so enough for a rejection
        choice = parameter.WhichOneof("parameter_choice")
        choices[name] = choice and getattr(parameter, choice)
    try:
        return model.model_validate(choices)
    except ValidationError as error:
        raise InvalidTensorError.of(error, *place) from None
