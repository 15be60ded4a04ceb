"""The OpenAPI document against its standard, and against what the service really takes and gives."""

import asyncio
import json

import httpx
import pytest
from jsonschema_rs import Draft202012Validator, ValidationError

from drugpred import __version__
from drugpred.codebook import AGE, CATEGORIES, DRUGS, INPUTS, SCORES, WINDOWS
from drugpred.monitoring.feedback.service import Feedback
from drugpred.schemas import EXAMPLE, Batch, Profile
from drugpred.scoring import Scorer
from drugpred.serving.openapi import build
from drugpred.serving.v2.types import InferenceRequest

DOCUMENT = json.loads(json.dumps(build()))
POSTS = {path: item["post"] for path, item in DOCUMENT["paths"].items() if "post" in item}
INFER = "/v2/models/drug_consumption/infer"
VERSIONED_INFER = "/v2/models/drug_consumption/versions/{version}/infer"
MODELS = {"/predict": Profile, "/predict_batch": Batch, "/feedback": Feedback}
MODELS |= dict.fromkeys((INFER, VERSIONED_INFER), InferenceRequest)


def check(name, content):
    """Check content against a schema of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(content)


def request_of(path):
    content = POSTS[path]["requestBody"]["content"]
    assert set(content) == {"application/json"} | ({"application/octet-stream"} if path.endswith("/infer") else set())
    return content["application/json"]


@pytest.mark.slow
def test_the_document_is_openapi():
    from openapi_spec_validator import OpenAPIV31SpecValidator

    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["info"]["version"] == __version__


def test_every_reference_is_kept():
    text = json.dumps(DOCUMENT)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names == set(DOCUMENT["components"]["schemas"])


def test_every_endpoint_is_described():
    assert set(POSTS) == set(MODELS)
    assert {path for path, item in DOCUMENT["paths"].items() if "get" in item} == {
        "/drift",
        "/challenger",
        "/health",
        "/model",
        "/livez",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/drug_consumption",
        "/v2/models/drug_consumption/ready",
        "/v2/models/drug_consumption/versions/{version}",
        "/v2/models/drug_consumption/versions/{version}/ready",
    }


def test_the_needed_key_is_documented():
    needed = {}
    for path, item in DOCUMENT["paths"].items():
        for operation in (item[method] for method in ("get", "post") if method in item):
            named = {scope for need in operation["security"] for scopes in need.values() for scope in scopes}
            assert ({"401", "403"} <= set(operation["responses"])) == bool(named)
            assert operation["security"] == [] or operation["security"][0] == {}  # without keys, if none are set
            needed[path] = "".join(named)
    assert {path for path, scope in needed.items() if scope == "predict"} == {*MODELS} - {"/feedback"}
    assert needed["/feedback"] == "feedback"
    assert needed["/metrics"] == "metrics"
    open_to_all = {path for path, scope in needed.items() if not scope}
    assert open_to_all == {path for path in needed if path.endswith(("z", "/health", "/live", "/ready"))}


def test_every_readiness_endpoint_may_answer_503():
    gets = {path: item["get"]["responses"] for path, item in DOCUMENT["paths"].items() if "get" in item}
    assert {path for path in gets if "503" in gets[path]} == {p for p in gets if p.endswith(("/readyz", "/ready"))}


def test_retry_answers_document_the_wait():
    responses = DOCUMENT["components"]["responses"]
    for status, header in (("429", "Retry-After"), ("503", "Retry-After"), ("401", "WWW-Authenticate")):
        assert responses[status]["headers"][header]["required"]
    used = json.dumps(DOCUMENT["paths"])
    assert all(f"#/components/responses/{status}" in used for status in responses)


@pytest.mark.parametrize("path", MODELS)
def test_examples_are_accepted_by_the_service_and_by_their_schema(path):
    example = request_of(path)["example"]
    MODELS[path].model_validate_json(json.dumps(example))
    check(MODELS[path].__name__, example)
    assert request_of(path)["schema"] == {"$ref": f"#/components/schemas/{MODELS[path].__name__}"}


def test_schemas_describe_accepted_values():
    properties = DOCUMENT["components"]["schemas"]["Profile"]["properties"]
    assert set(properties) == {*INPUTS, "scale", "drugs", "window", "include"}
    assert DOCUMENT["components"]["schemas"]["Profile"]["required"] == list(INPUTS)
    assert properties["window"]["enum"] == list(WINDOWS)
    assert properties["drugs"]["items"]["enum"] == list(DRUGS)
    for category in CATEGORIES:
        schema = properties[category.name]
        strings = schema["oneOf"][1] if category is AGE else schema
        assert strings["enum"] == [*category.labels, *category.published]
        assert all(alias in schema["description"] for aliases in category.aliases.values() for alias in aliases)
    for score in SCORES:
        assert properties[score.name]["minimum"] == score.lowest
    assert "Also accepted as nscore." in properties["neuroticism"]["description"]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"age": 18},
        {"age": 120},
        {"age": "65+"},
        *({category.name: label} for category in CATEGORIES for label in category.spellings),
        *({score.name: value} for score in SCORES for value in (score.lowest, score.highest)),
        {"scale": "raw"} | {score.name: 60 for score in SCORES if score.is_neo},
        {"drugs": ["lsd"], "window": "day", "include": ["windows", "explanation"]},
        {"drugs": ["lsd", "lsd"], "include": ["windows", "windows"]},
    ],
    ids=str,
)
def test_the_schema_accepts_all_that_the_service_accepts(change):
    Profile.model_validate(EXAMPLE | change)
    check("Profile", EXAMPLE | change)


@pytest.mark.parametrize(
    "change",
    [
        {"age": 17},
        {"age": 121},
        {"age": 25.5},
        {"age": "25"},
        {"gender": "zebra"},
        {"neuroticism": -4},
        {"neuroticism": "0.31"},
        {"neuroticism": 36},
        {"neuroticism": 36.5, "scale": "raw"},
        {"neuroticism": 0.31, "scale": "raw"},
        {"impulsivity": 3},
        {"drugs": []},
        {"drugs": ["zebra"]},
        {"window": "fortnight"},
        {"include": ["zebra"]},
        {"scale": "zebra"},
        {"zebra": 1},
    ],
    ids=str,
)
def test_the_service_refuses_all_that_the_schema_refuses(change):
    with pytest.raises(ValidationError):
        check("Profile", EXAMPLE | change)
    with pytest.raises(ValueError, match="validation error"):
        Profile.model_validate(EXAMPLE | change)


def test_answers_are_as_described(stored_model):
    changes = ({}, {"include": ["windows"]}, {"include": ["explanation"]}, {"drugs": ["lsd"]})
    profiles = [Profile.model_validate(EXAMPLE | change) for change in changes]
    answers = [json.loads(answer.model_dump_json()) for answer in Scorer(stored_model).predict(profiles)]
    for answer in answers:
        check("Prediction", answer)
    check("Predictions", answers)
    check("TaggedCard", json.loads((stored_model.path / "card.json").read_bytes()) | {"model": stored_model.tag})
    check(
        "Error", {"error": "malformed", "detail": [{"loc": ["profiles", 0, "age"], "msg": "…", "type": "unexpected"}]}
    )


def test_answers_of_the_inference_protocol_are_as_described(stored_model, app_of):
    routes = app_of(stored_model)

    async def send(method, path, content):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(routes), base_url="http://test") as client:
            return await client.request(method, path, json=content)

    paths = {path: item for path, item in DOCUMENT["paths"].items() if path.startswith("/v2")}
    for path, item in paths.items():
        ((method, described),) = [pair for pair in item.items() if pair[0] != "parameters"]
        version = stored_model.tag.partition(":")[2]
        answer = asyncio.run(
            send(method, path.format(version=version), request_of(path)["example"] if method == "post" else None)
        )
        assert answer.status_code == 200
        schema = described["responses"]["200"]["content"]["application/json"]["schema"]
        check(schema["$ref"].rpartition("/")[2], answer.json())
