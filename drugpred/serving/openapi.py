"""The OpenAPI document, made of the models that check requests and answers.

BentoML's own leaves out the GET routes and examples, and describes errors in another shape. What a schema cannot say
(that tensors have one length, that a prediction_id is genuine) is said in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic.json_schema import models_json_schema

from drugpred import __version__
from drugpred.codebook import CATEGORIES
from drugpred.model_store import NAME, TaggedCard
from drugpred.monitoring.drift import Drift
from drugpred.monitoring.feedback.prediction_id import TOKEN_LENGTH
from drugpred.monitoring.feedback.service import Accepted, Feedback
from drugpred.schemas import EXAMPLE, Batch, Error, Health, Prediction, Predictions, Profile
from drugpred.serving.documented_requests import add_request_constraints
from drugpred.serving.v2.types import (
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

__all__ = ["build"]

Scope = Literal["predict", "feedback", "read", "metrics"]

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

_DESCRIPTION: Final = """\
Calibrated probabilities of drug use from personality scores and demographics. They are conditional on the sample of \
one survey; not for diagnosis, employment, insurance, schooling or policing.

Where the operator has set API keys, a request needs one with the scope that its operation names; elsewhere 401 and \
403 do not occur, and 429 only where a rate limit is set. HEAD is answered wherever GET is.

Every error has the shape of Error. Not of one operation alone are 404 for an unknown path and 405 for another method, \
and what is answered before a request is read: 400 where it is no HTTP/1.1, 408 where it does not arrive within ten \
seconds, 413 and 431 where it or its headers are too long for any operation, 503 where too many are connected. A body \
is JSON in UTF-8 whatever its content type, and may come with the content-encoding gzip or deflate.\
"""

_JSON_LENGTH: Final = "Inference-Header-Content-Length"

_RETRY: Final = {
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 0}}
}
_ACCEPTED: Final = {
    "Accept-Encoding": {"description": "The codings that are taken.", "required": True, "schema": {"type": "string"}}
}
_CHALLENGE: Final = {"WWW-Authenticate": {"description": "Bearer.", "required": True, "schema": {"type": "string"}}}

_ERRORS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "400": ("Malformed: what was expected, and where.", {}),
    "401": ("No key, or an unknown one.", _CHALLENGE),
    "403": ("The key's scopes do not include that of the operation.", {}),
    "404": ("Another model or version than the one that is served.", {}),
    "409": ("The outcomes of this answer were counted before.", {}),
    "410": ("The answer is older than 90 days.", {}),
    "413": ("The body is longer than any well-formed one.", {}),
    "415": ("Another content-encoding than gzip, deflate and identity.", _ACCEPTED),
    "429": ("The caller asks more often than the operator allows.", _RETRY),
    "503": ("Overloaded, or what is needed fails for the moment; try again later.", _RETRY),
}


def build() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the service."""
    models: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in _REQUESTS]
    models += [(model, "serialization") for model in _ANSWERS]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")
    return {
        "openapi": "3.1.0",
        "info": {"title": "drugpred", "version": __version__, "description": _DESCRIPTION},
        "paths": {
            "/predict": _post(
                "Tell of one person how likely the use of each drug is.", "predict", Profile, EXAMPLE, Prediction
            ),
            "/predict_batch": _post(
                "Tell of up to 1000 people how likely the use of each drug is; at most 100 with explanations.",
                "predict",
                Batch,
                {"profiles": [EXAMPLE]},
                Predictions,
            ),
            "/feedback": _post(
                "Tell what turned out of an answer.",
                "feedback",
                Feedback,
                {"prediction_id": "A" * TOKEN_LENGTH, "outcomes": {"cannabis": True, "lsd": False}},
                Accepted,
                "409",
                "410",
            ),
            "/drift": _get(
                "How far the profiles have moved from those trained on, since the server started.", Drift, "read"
            ),
            "/health": _get(
                "Whether it is served and, where no keys are set or to a key with the scope read, what.", Health
            ),
            "/model": _get("The card of the model that is served.", TaggedCard, "read"),
            "/livez": _get("For probes: the process is alive."),
            "/healthz": _get("As /livez."),
            "/readyz": _ready("For probes: it answers predictions."),
            **_inference(),
            "/metrics": _get("For Prometheus, in its text format.", scope="metrics", limited=False),
        },
        "components": {
            "schemas": add_request_constraints(schemas["$defs"]),
            "responses": {status: _error(*error) for status, error in _ERRORS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _inference() -> dict[str, Any]:
    paths: dict[str, Any] = {
        "/v2": _get("Open Inference Protocol: the server.", ServerMetadata, "read"),
        "/v2/health/live": _get("Open Inference Protocol: the process is alive.", Live),
        "/v2/health/ready": _ready("Open Inference Protocol: it answers predictions.", Ready),
    }
    version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    for model, errors in ((f"/v2/models/{NAME}", ()), (f"/v2/models/{NAME}/versions/{{version}}", ("404",))):
        parameters = {"parameters": [version]} if errors else {}
        told = _get("Open Inference Protocol: the model's tensors.", ModelMetadata, "read", *errors)
        ready = _ready("Open Inference Protocol: the model answers.", ModelReady, *errors)
        paths |= {
            model: told | parameters,
            f"{model}/ready": ready | parameters,
            f"{model}/infer": _infer() | parameters,
        }
    return paths


def _infer() -> dict[str, Any]:
    """Return the operation that takes and gives tensors, in JSON or in binary behind it."""
    labels = {category.name for category in CATEGORIES}
    inputs = [
        {"name": name, "datatype": "BYTES" if name in labels else "FP64", "shape": [1], "data": [value]}
        for name, value in (EXAMPLE | {"age": "25-34"}).items()
    ]
    item = _post(
        "Open Inference Protocol: tell of up to 10,000 people, a tensor of one length for each input.",
        "predict",
        InferenceRequest,
        {"inputs": inputs, "outputs": [{"name": "cannabis"}], "parameters": {"window": "year"}},
        InferenceResponse,
        "404",
    )
    length = {"description": "Bytes of JSON before the binary tensors.", "schema": {"type": "integer", "minimum": 0}}
    binary: dict[str, Any] = {"application/octet-stream": {}}
    operation = item["post"]
    operation["parameters"] = [{"name": _JSON_LENGTH, "in": "header", **length}]
    operation["requestBody"]["content"] |= binary
    operation["responses"]["200"]["content"] |= binary
    operation["responses"]["200"]["headers"] = {_JSON_LENGTH: length}
    return item


def _post(
    summary: str,
    scope: Scope,
    request: type[BaseModel],
    example: dict[str, Any],
    answer: type[BaseModel],
    *errors: str,
) -> dict[str, Any]:
    body = {"application/json": {"schema": _reference(request), "example": example}}
    operation = _operation(summary, answer, scope, "400", "413", "415", "429", "503", *errors)
    return {"post": operation | {"requestBody": {"required": True, "content": body}}}


def _get(
    summary: str,
    answer: type[BaseModel] | None = None,
    scope: Scope | None = None,
    *errors: str,
    limited: bool = True,
) -> dict[str, Any]:
    return {"get": _operation(summary, answer, scope, *errors, *(["429"] if scope and limited else []))}


def _ready(summary: str, answer: type[BaseModel] | None = None, *errors: str) -> dict[str, Any]:
    item = _get(summary, answer, None, *errors)
    item["get"]["responses"]["503"] = _error("The server ends, or has not begun.", {})
    return item


def _operation(summary: str, answer: type[BaseModel] | None, scope: Scope | None, *errors: str) -> dict[str, Any]:
    """Return an operation that needs a scope where keys are set, or None, and what it answers."""
    content = {"application/json": {"schema": _reference(answer)}} if answer else {"text/plain": {}}
    codes = sorted({*errors, *(["401", "403"] if scope else [])})
    return {
        "summary": summary,
        "security": [{}, {"bearer": [scope]}, {"key": [scope]}] if scope else [],
        "responses": {
            "200": {"description": "What was asked for.", "content": content},
            **{code: {"$ref": f"#/components/responses/{code}"} for code in codes},
        },
    }


def _error(description: str, headers: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": _reference(Error)}}
    return {"description": description, **({"headers": headers} if headers else {}), "content": content}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
