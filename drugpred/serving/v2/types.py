"""The messages of the Open Inference Protocol (V2) over REST; gRPC has the same parameters.

https://github.com/kserve/open-inference-protocol and, for binary data, Triton's extension.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from drugpred.codebook import DRUGS, INPUTS, Window
from drugpred.schemas import Interval, Support

BOUNDS: Final = tuple(Interval.__annotations__)

SUPPORT: Final = tuple(Support.__annotations__)
"""The tensors of the support; of the level, the index in `codebook.SUPPORT_LEVELS`."""

DRUG_BOUNDS: Final = tuple(f"{drug}.{bound}" for drug in DRUGS for bound in BOUNDS)

OUTPUTS: Final = (*DRUGS, *DRUG_BOUNDS, *SUPPORT)
"""All tensors of answers: only the drugs are answered by default."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class _Parameters(_Request):
    content_type: str | None = Field(None, description="Accepted and ignored; MLServer's client sends it.")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, content: object) -> object:
        if isinstance(content, dict) and not content.keys() <= cls.model_fields.keys():
            known = {"known": ", ".join(sorted(cls.model_fields))}
            raise PydanticCustomError("unexpected", "expected no parameter but {known}", known)
        return content


class InputParameters(_Parameters):
    """Parameters of an input tensor."""

    binary_data_size: int | None = Field(None, ge=0, description="Bytes of this tensor after the JSON.")


class OutputParameters(_Parameters):
    """Parameters of an output tensor."""

    binary_data: bool | None = Field(None, description="Whether this tensor follows the JSON in binary.")


class Parameters(_Parameters):
    """Parameters of a request."""

    window: Window = Field("decade", description="Time window of use.")
    scale: Literal["standardized", "raw"] = Field(
        "standardized", description="Scale of the five NEO scores: as published, or raw totals."
    )
    include: Literal["interval", "support", "interval,support"] | None = Field(
        None,
        description="Tensors to add to the answer: interval, the bounds of each probability; support, how many "
        "respondents are like each person.",
    )
    timeout: int | None = Field(None, description="Accepted and ignored; Triton's clients send it.")
    priority: int | None = Field(None, description="Accepted and ignored; Triton's clients send it.")
    binary_data_output: bool = Field(default=False, description="Whether all tensors follow the JSON in binary.")


class RequestInput(_Request):
    """An input tensor of a request."""

    name: str
    datatype: str
    shape: Annotated[list[int], FailFast()]
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = Field(None, description="Its elements, unless they follow the JSON in binary.")


class RequestOutput(_Request):
    """An output tensor that a request asks for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferenceRequest(_Request):
    """Up to 10,000 people as one tensor for each input: labels as BYTES, scores as FP64, FP32 or INT64."""

    id: str | None = Field(None, description="Copied to the answer.")
    model_name: str = Field("", description="The name in the path, if given; KServe's client sends both.")
    parameters: Parameters = Parameters()
    inputs: list[RequestInput] = Field(max_length=len(INPUTS))
    outputs: list[RequestOutput] = Field(
        [], max_length=len(OUTPUTS), description="Drugs to answer with, in this order; by default all."
    )


class ResponseOutput(BaseModel):
    """The probability of use of a drug for each person, its bound or the support, in the order of the request."""

    name: str
    datatype: Literal["FP64"]
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[float] | None = None


class InferenceResponse(BaseModel):
    """The probability of use of each requested drug, and the other requested tensors."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, str]
    """The window, and the data that the model was trained on."""
    outputs: list[ResponseOutput]


class TensorMetadata(BaseModel):
    """An input or output tensor of the model."""

    name: str
    datatype: str
    shape: list[int]
    """-1 means any size."""


class ModelMetadata(BaseModel):
    """Metadata of the served model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(BaseModel):
    """Metadata of the server."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Liveness: the process is alive."""

    live: Literal[True] = True


class Ready(BaseModel):
    """Readiness: predictions are answered."""

    ready: Literal[True] = True


class ModelReady(Ready):
    """Readiness of the model."""

    name: str
