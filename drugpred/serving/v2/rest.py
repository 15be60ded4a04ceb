"""The Open Inference Protocol (V2) over REST: JSON, optionally followed by binary tensors."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.routing import Route

from drugpred.errors import error_body
from drugpred.monitoring.rejection_metrics import count_tensors
from drugpred.serving.scheduling import exclusive
from drugpred.serving.v2.dataplane import InvalidTensorError, Tensor
from drugpred.serving.v2.types import (
    InferenceRequest,
    InferenceResponse,
    Live,
    ModelReady,
    Ready,
    ResponseOutput,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from starlette.requests import Request

    from drugpred.serving.v2.dataplane import DataPlane

_JSON_LENGTH: Final = "inference-header-content-length"
"""Header with the length of the JSON, if binary tensors follow."""


class InferenceEndpoints:
    """The routes below /v2, for the `inference` data plane of the service."""

    def __init__(self, service: Callable[[], Any]) -> None:
        self._service = service
        self.routes = [
            Route("/v2", self._server),
            Route("/v2/health/live", lambda _: _json(Live())),
            Route("/v2/health/ready", lambda _: self._readiness(Ready())),
        ]
        for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            self.routes += [
                Route(model, self._model),
                Route(f"{model}/ready", self._ready),
                Route(f"{model}/infer", self._infer, methods=["POST"]),
            ]

    @property
    def _plane(self) -> DataPlane:
        plane: DataPlane = self._service().inference
        return plane

    async def _server(self, _: Request) -> Response:
        return _json(self._plane.server)

    async def _model(self, request: Request) -> Response:
        self._check_model(request)
        return _json(self._plane.model)

    async def _ready(self, request: Request) -> Response:
        self._check_model(request)
        return self._readiness(ModelReady(name=self._plane.name))

    def _readiness(self, ready: Ready) -> Response:
        if self._service().worker.shutdown.started:
            return Response(error_body("the server is shutting down"), 503, media_type="application/json")
        return _json(ready)

    async def _infer(self, request: Request) -> Response:
        self._check_model(request)
        body = await request.body()
        try:
            async with exclusive(len(body)):
                return await self._inferred(body, request.headers.get(_JSON_LENGTH))
        except InvalidTensorError as error:
            count_tensors(error.details)
            raise

    async def _inferred(self, body: bytes, json_length: str | None) -> Response:
        asked, inputs = _read(body, json_length)
        self._plane.check_model(asked.model_name or self._plane.name, "")
        parameters = asked.parameters
        by_drug = await self._plane.infer(inputs, [output.name for output in asked.outputs], parameters)
        answer = InferenceResponse(
            model_name=self._plane.name,
            model_version=self._plane.version,
            id=asked.id,
            parameters={"window": parameters.window, "data_source": self._plane.data_source},
            outputs=[],
        )
        binary = dict.fromkeys(by_drug, parameters.binary_data_output)
        for output in asked.outputs:
            if output.parameters.binary_data is not None:
                binary[output.name] = output.parameters.binary_data
        return _written(answer, by_drug, binary)

    def _check_model(self, request: Request) -> None:
        self._plane.check_model(request.path_params["model"], request.path_params.get("version", ""))


def _read(body: bytes, json_length: str | None) -> tuple[InferenceRequest, list[Tensor]]:
    try:
        at = len(body) if json_length is None else int(json_length)
    except ValueError:
        at = -1
    if not 0 <= at <= len(body):
        raise InvalidTensorError.at(_JSON_LENGTH, expected="the length of the JSON in bytes")
    try:
        request = InferenceRequest.model_validate_json(body[:at].removeprefix(BOM_UTF8))
    except ValidationError as error:
        raise InvalidTensorError.of(error) from None
    tensors = []
    for i, tensor in enumerate(request.inputs):
        size = tensor.parameters.binary_data_size
        if (size is None) == (tensor.data is None):
            raise InvalidTensorError.at("inputs", i, expected="either data or the parameter binary_data_size")
        data: bytes | Sequence[object]
        if size is None:
            data = _flat(tensor.data or [], len(tensor.shape))
        else:
            data = body[at : at + size]
            at += size
        tensors.append(Tensor(tensor.name, tensor.datatype, tensor.shape, data))
    if at != len(body):
        raise InvalidTensorError.at("inputs", expected="binary data of the sizes in binary_data_size")
    return request, tensors


def _flat(data: list[object], dimensions: int) -> list[object]:
    """Return the elements of a tensor, which may be written as rows of one element."""
    if dimensions != 2:
        return data
    return [each[0] if isinstance(each, list) and len(each) == 1 else each for each in data]


def _written(answer: InferenceResponse, by_drug: dict[str, NDArray[np.float64]], binary: dict[str, bool]) -> Response:
    raw = []
    for drug, column in by_drug.items():
        # Built from checked parts: validating every number again would cost more than the prediction.
        output = ResponseOutput.model_construct(name=drug, datatype="FP64", shape=[len(column)])
        if binary[drug]:
            output.parameters = {"binary_data_size": column.nbytes}
            raw.append(column.tobytes())
        else:
            output.data = column.tolist()
        answer.outputs.append(output)
    if not raw:
        return _json(answer)
    content = answer.model_dump_json(exclude_none=True).encode()
    headers = {_JSON_LENGTH: str(len(content))}
    return Response(b"".join([content, *raw]), headers=headers, media_type="application/octet-stream")


def _json(message: BaseModel) -> Response:
    return Response(message.model_dump_json(exclude_none=True), media_type="application/json")
