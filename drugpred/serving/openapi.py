"""The OpenAPI document, built from the models that validate requests and answers.

BentoML's own leaves out the GET routes and the examples, and describes other errors. Rules that a schema cannot express
(that all tensors have one length, that a prediction_id is genuine) are in the descriptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import AliasChoices
from pydantic.json_schema import models_json_schema

from drugpred import __version__
from drugpred.codebook import CATEGORIES, INPUTS, NEO_TOTALS, SCORES
from drugpred.limits import MAX_ROWS
from drugpred.model_store import NAME
from drugpred.schemas import EXAMPLE, TOKEN_LENGTH, Batch, Error, Feedback, Profile
from drugpred.serving.endpoints import ENDPOINTS
from drugpred.serving.v2.types import OUTPUTS, InferenceRequest

if TYPE_CHECKING:
    from pydantic import BaseModel

    from drugpred.serving.access.api_keys import Scope
    from drugpred.serving.endpoints import Endpoint

_LABELS: Final = {category.name for category in CATEGORIES}
_EXAMPLES: Final[dict[type[BaseModel], dict[str, Any]]] = {
    Profile: dict(EXAMPLE),
    Batch: {"profiles": [EXAMPLE]},
    Feedback: {"prediction_id": "A" * TOKEN_LENGTH, "outcomes": {"cannabis": True, "lsd": False}},
    InferenceRequest: {
        "inputs": [
            {"name": name, "datatype": "BYTES" if name in _LABELS else "FP64", "shape": [1], "data": [value]}
            for name, value in (EXAMPLE | {"age": "25-34"}).items()
        ],
        "outputs": [{"name": "cannabis"}],
        "parameters": {"window": "year"},
    },
}

_DESCRIPTION: Final = """\
Calibrated probabilities of drug use from personality scores and demographics. They are conditional on the sample of \
one survey; not for diagnosis, employment, insurance, schooling or policing.

If the operator has configured API keys, a request needs a key with the scope that its operation names; otherwise 401 \
and 403 do not occur. 429 occurs only if a rate limit is set. HEAD is answered like GET.

Every error has the schema Error. Any request may also get 400 (not HTTP/1.1), 404 (unknown path), 405 (method not \
allowed), 408 (not received within 10 seconds), 413 or 431 (body or headers longer than any operation accepts) or 503 \
(too many connections). The body is JSON in UTF-8 with any content type; its content-encoding may be gzip or deflate.\
"""

_TAGS: Final = {
    "Predictions": "Predict, and report the outcomes.",
    "Model": "The model that is served, and whether it still fits.",
    "Operation": "Probes and metrics.",
    "Open Inference Protocol": "The same model by the protocol of KServe, Triton and others.",
}

_JSON_LENGTH: Final = "Inference-Header-Content-Length"

_RETRY: Final = {
    "Retry-After": {
        "description": "Seconds to wait before a retry.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    }
}
_ACCEPTED: Final = {
    "Accept-Encoding": {
        "description": "The accepted content-encodings.",
        "required": True,
        "schema": {"type": "string"},
    }
}
_CHALLENGE: Final = {"WWW-Authenticate": {"description": "Bearer.", "required": True, "schema": {"type": "string"}}}

_ERRORS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "400": ("Malformed request; each detail names a field and the expected value.", {}),
    "401": ("No API key, or an unknown one.", _CHALLENGE),
    "403": ("The API key lacks the scope of this operation.", {}),
    "404": ("Unknown model or version, or no challenger.", {}),
    "409": ("The outcomes of this prediction were reported before.", {}),
    "410": ("The prediction is older than 90 days.", {}),
    "413": ("The body is too long.", {}),
    "415": ("The content-encoding is not gzip, deflate or identity.", _ACCEPTED),
    "429": ("The caller exceeds the rate limit.", _RETRY),
    "503": ("Overloaded or temporarily unavailable; try again later.", _RETRY),
}


def build() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the service, built from `ENDPOINTS`."""
    documented = [endpoint for endpoint in ENDPOINTS if endpoint.summary]
    models: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in _EXAMPLES]
    models += [(model, "serialization") for model in dict.fromkeys(each.answer for each in documented) if model]
    _, schemas = models_json_schema([*models, (Error, "serialization")], ref_template="#/components/schemas/{model}")
    return {
        "openapi": "3.1.0",
        "info": {"title": "drugpred", "version": __version__, "description": _DESCRIPTION},
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": {endpoint.path: _path(endpoint) for endpoint in documented},
        "components": {
            "schemas": _add_request_constraints(schemas["$defs"]),
            "responses": {status: _error(*error) for status, error in _ERRORS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _path(endpoint: Endpoint) -> dict[str, Any]:
    operation = _post(endpoint, endpoint.request) if endpoint.request else _get(endpoint)
    item: dict[str, Any] = {"post" if endpoint.request else "get": operation}
    if "{version}" in endpoint.path:
        version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        item["parameters"] = [version]
    return item


def _post(endpoint: Endpoint, request: type[BaseModel]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _reference(request), "example": _EXAMPLES[request]}}
    operation = _operation(endpoint, "400", "413", "415", "429", "503")
    operation["requestBody"] = {"required": True, "content": content}
    if request is InferenceRequest:  # JSON, or JSON followed by binary tensors
        length: dict[str, Any] = {
            "description": "Bytes of JSON before the binary tensors.",
            "schema": {"type": "integer", "minimum": 0},
        }
        content["application/octet-stream"] = {}
        answer = operation["responses"]["200"]
        answer["content"]["application/octet-stream"] = {}
        answer["headers"] = {_JSON_LENGTH: length}
        operation["parameters"] = [{"name": _JSON_LENGTH, "in": "header", **length}]
    return operation


def _get(endpoint: Endpoint) -> dict[str, Any]:
    operation = _operation(endpoint, *(["429"] if endpoint.rule.scope and endpoint.rule.counted else []))
    if "503" in endpoint.errors:
        operation["responses"]["503"] = _error("The server is starting or stopping.", {})
    return operation


def _operation(endpoint: Endpoint, *errors: str) -> dict[str, Any]:
    scope: Scope | None = endpoint.rule.scope
    content = {"application/json": {"schema": _reference(endpoint.answer)}} if endpoint.answer else {"text/plain": {}}
    codes = sorted({*errors, *endpoint.errors, *(["401", "403"] if scope else [])})
    return {
        "summary": endpoint.summary,
        "tags": [_tag(endpoint.path)],
        "security": [{}, {"bearer": [scope]}, {"key": [scope]}] if scope else [],
        "responses": {
            "200": {"description": "The answer.", "content": content},
            **{code: {"$ref": f"#/components/responses/{code}"} for code in codes},
        },
    }


def _tag(path: str) -> str:
    if path.startswith("/v2"):
        return "Open Inference Protocol"
    if path.startswith(("/predict", "/feedback")):
        return "Predictions"
    return "Model" if path in {"/model", "/drift"} else "Operation"


def _error(description: str, headers: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": _reference(Error)}}
    return {"description": description, **({"headers": headers} if headers else {}), "content": content}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _add_request_constraints(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas by name, with the constraints that pydantic checks in code.

    A schema has the canonical spelling; its description lists the other spellings that are accepted.
    """
    _constrain_profile(schemas["Profile"])
    tensor, request = schemas["RequestInput"]["properties"], schemas["InferenceRequest"]["properties"]
    tensor["name"]["enum"] = list(INPUTS)
    tensor["datatype"]["enum"] = ["BYTES", "FP64", "FP32", "INT64"]
    tensor["shape"] |= {
        "description": "[n] or [n, 1], with the same n for all inputs.",
        "prefixItems": [{"type": "integer", "minimum": 1, "maximum": MAX_ROWS}, {"type": "integer", "const": 1}],
        "minItems": 1,
        "maxItems": 2,
    }
    tensor["shape"].pop("items")
    tensor["data"]["description"] += " Absent with binary_data_size, otherwise n elements."
    schemas["RequestOutput"]["properties"]["name"]["enum"] = list(OUTPUTS)
    request["model_name"]["enum"] = ["", NAME]
    request["inputs"] |= {"minItems": len(INPUTS), "description": "Each input once, in any order."}
    request["outputs"]["description"] = (
        "Drugs to answer with, each at most once, in this order; by default all. Also their bounds and the support."
    )
    return schemas


def _constrain_profile(schema: dict[str, Any]) -> None:
    properties = schema["properties"]
    for name in ("drugs", "include"):
        del properties[name]["uniqueItems"]  # repeated names count once
    for name in INPUTS:
        alias = Profile.model_fields[name].validation_alias
        if isinstance(alias, AliasChoices):
            others = ", ".join(str(choice) for choice in alias.choices if choice != name)
            properties[name]["description"] += f" Also accepted as {others}."
    lowest, highest = NEO_TOTALS
    total = {"type": "integer", "minimum": lowest, "maximum": highest}
    schema["if"] = {"properties": {"scale": {"const": "raw"}}, "required": ["scale"]}
    schema["then"] = {"properties": {score.name: total for score in SCORES if score.is_neo}}
    schema["else"] = {"properties": {score.name: {"maximum": score.highest} for score in SCORES if score.is_neo}}
