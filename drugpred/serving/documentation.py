"""The OpenAPI document, made of the models that check requests and answers.

BentoML's own leaves out the GET routes and examples, and describes errors in another shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from drugpred import __version__
from drugpred.bundle import NAME, TaggedCard
from drugpred.codebook import CATEGORIES
from drugpred.monitoring.drift import Drift
from drugpred.monitoring.feedback import Accepted, Feedback
from drugpred.monitoring.tokens import LENGTH
from drugpred.schemas import EXAMPLE, Batch, Error, Health, Prediction, Predictions, Profile
from drugpred.serving.inference_messages import (
    InferenceRequest,
    InferenceResponse,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["document"]

_REQUESTS: Final = (Profile, Batch, Feedback, InferenceRequest)
_ANSWERS: Final = (
    Prediction,
    Predictions,
    Accepted,
    Drift,
    Health,
    TaggedCard,
    InferenceResponse,
    ServerMetadata,
    ModelMetadata,
    Live,
    Ready,
    ModelReady,
    Error,
)


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the service."""
    models: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in _REQUESTS]
    models += [(model, "serialization") for model in _ANSWERS]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")
    overloaded = {"503": _answer("Overloaded; try again after a moment.", Error)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "drugpred",
            "version": __version__,
            "description": "Calibrated probabilities of drug use from personality scores and demographics. They are "
            "conditional on the sample of one survey; not for diagnosis, employment, insurance, schooling or policing.",
        },
        "paths": {
            "/predict": _post("Tell of one person how likely the use of each drug is.", Profile, EXAMPLE, Prediction),
            "/predict_batch": _post(
                "Tell of up to 1000 people how likely the use of each drug is.",
                Batch,
                {"profiles": [EXAMPLE]},
                Predictions,
                overloaded,
            ),
            "/feedback": _post(
                "Tell what turned out of an answer.",
                Feedback,
                {"prediction_id": "A" * LENGTH, "outcomes": {"cannabis": True, "lsd": False}},
                Accepted,
                {
                    "409": _answer("The outcomes of this answer were counted before.", Error),
                    "410": _answer("The answer is older than 90 days.", Error),
                    "413": _answer("The request is longer than any well-formed one.", Error),
                    "503": _answer("It cannot be told whether they were counted; try again after a moment.", Error),
                },
            ),
            "/drift": _get(
                "How far the profiles have moved from those trained on, since the server started.",
                _answer("Of each input, and of each drug's probabilities.", Drift),
            ),
            "/health": _get("Whether and what is served.", _answer("It is up.", Health)),
            "/model": _get("The card of the model that is served.", _answer("The card.", TaggedCard)),
            "/livez": _get("For probes: the process is alive.", {"description": "It is."}),
            "/readyz": _get("For probes: it answers predictions.", {"description": "It does."}),
            **_inference(f"/v2/models/{NAME}"),
            "/metrics": _get("For Prometheus.", {"description": "In its text format.", "content": {"text/plain": {}}}),
        },
        "components": {"schemas": schemas["$defs"]},
    }


def _inference(model: str) -> dict[str, Any]:
    people: dict[str, Any] = EXAMPLE | {"age": "25-34"}
    labels = {category.name for category in CATEGORIES}
    inputs = [
        {"name": name, "datatype": "BYTES" if name in labels else "FP64", "shape": [1], "data": [value]}
        for name, value in people.items()
    ]
    version = "The model's name may be followed by /versions/ and its version."
    return {
        "/v2": _get("Open Inference Protocol: the server.", _answer("Its name and version.", ServerMetadata)),
        "/v2/health/live": _get("Open Inference Protocol: the process is alive.", _answer("It is.", Live)),
        "/v2/health/ready": _get("Open Inference Protocol: it answers predictions.", _answer("It does.", Ready)),
        model: _get("Open Inference Protocol: the model's tensors.", _answer(version, ModelMetadata)),
        f"{model}/ready": _get("Open Inference Protocol: the model answers.", _answer(version, ModelReady)),
        f"{model}/infer": _post(
            "Open Inference Protocol: tell of up to 10,000 people, a tensor for each input.",
            InferenceRequest,
            {"inputs": inputs, "outputs": [{"name": "cannabis"}], "parameters": {"window": "year"}},
            InferenceResponse,
        ),
    }


def _post(
    summary: str,
    request: type[BaseModel],
    example: dict[str, Any],
    answer: type[BaseModel],
    others: dict[str, Any] | None = None,
) -> dict[str, Any]:
    body = {"application/json": {"schema": _reference(request), "example": example}}
    responses = {
        "200": _answer("What was asked for.", answer),
        "400": _answer("Malformed: what was expected, and where.", Error),
        **(others or {}),
    }
    return {"post": {"summary": summary, "requestBody": {"required": True, "content": body}, "responses": responses}}


def _get(summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {"200": answer}}}


def _answer(description: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _reference(model)}}}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
