"""The messages of the Open Inference Protocol (V2) over REST, of which gRPC has the same parameters.

https://github.com/kserve/open-inference-protocol and, for binary data, Triton's extension of it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from drugpred.codebook import DRUGS, INPUTS, Window


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class _Parameters(_Request):
    content_type: str | None = Field(None, description="Taken and not needed: MLServer's client says it.")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, content: object) -> object:
        if isinstance(content, dict) and not content.keys() <= cls.model_fields.keys():
            known = {"known": ", ".join(sorted(cls.model_fields))}
            raise PydanticCustomError("unexpected", "expected no parameter but {known}", known)
        return content


class InputParameters(_Parameters):
    """What may be said of a tensor of a request."""

    binary_data_size: int | None = Field(None, ge=0, description="Bytes of this tensor behind the JSON.")


class OutputParameters(_Parameters):
    """What may be said of a tensor that is asked for."""

    binary_data: bool | None = Field(None, description="Whether to answer this tensor behind the JSON.")


class Parameters(_Parameters):
    """What to tell, and over REST how."""

    window: Window = Field("decade", description="Use within which time.")
    scale: Literal["standardized", "raw"] = Field(
        "standardized", description="Of the five NEO scores: as published, or raw totals."
    )
    timeout: int | None = Field(None, description="Taken and ignored: Triton's clients say it.")
    priority: int | None = Field(None, description="Taken and ignored: Triton's clients say it.")
    binary_data_output: bool = Field(default=False, description="Whether to answer all tensors behind the JSON.")


class RequestInput(_Request):
    """A tensor of a request."""

    name: str
    datatype: str
    shape: Annotated[list[int], FailFast()]
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = Field(None, description="Its elements, unless they stand behind the JSON.")


class RequestOutput(_Request):
    """A tensor that is asked for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferenceRequest(_Request):
    """Up to 10,000 people as one tensor for each input: labels as BYTES, scores as FP64, FP32 or INT64."""

    id: str | None = Field(None, description="Comes back in the answer.")
    model_name: str = Field("", description="That of the path, if any: KServe's client says it twice.")
    parameters: Parameters = Parameters()
    inputs: list[RequestInput] = Field(max_length=len(INPUTS))
    outputs: list[RequestOutput] = Field(
        [], max_length=len(DRUGS), description="Which drugs, in this order; all by default."
    )


class ResponseOutput(BaseModel):
    """The probability that each person uses a drug, in their order."""

    name: str
    datatype: Literal["FP64"]
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[float] | None = None


class InferenceResponse(BaseModel):
    """The probability of use of each drug asked for."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, str]
    """The window, and what the model was trained on."""
    outputs: list[ResponseOutput]


class TensorMetadata(BaseModel):
    """A tensor that the model takes or gives."""

    name: str
    datatype: str
    shape: list[int]
    """-1 stands for any size."""


class ModelMetadata(BaseModel):
    """The model that is served."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(BaseModel):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """The process is alive."""

    live: Literal[True] = True


class Ready(BaseModel):
    """It answers predictions."""

    ready: Literal[True] = True


class ModelReady(Ready):
    """The model answers predictions."""

    name: str
