"""The OpenAPI document against its standard, and against what the service really takes and gives."""

import asyncio
import json

import httpx
import pytest
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from drugpred import __version__
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES, WINDOWS
from drugpred.monitoring.feedback import Feedback
from drugpred.schemas import EXAMPLE, Batch, Profile
from drugpred.scoring import Scorer
from drugpred.serving.documentation import document
from drugpred.serving.inference_messages import InferenceRequest

DOCUMENT = json.loads(json.dumps(document()))
POSTS = {path: item["post"] for path, item in DOCUMENT["paths"].items() if "post" in item}
INFER = "/v2/models/drug_consumption/infer"
MODELS = {"/predict": Profile, "/predict_batch": Batch, "/feedback": Feedback, INFER: InferenceRequest}


def check(name, content):
    """Check content against a schema of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(content)


def request_of(path):
    content = POSTS[path]["requestBody"]["content"]
    assert set(content) == {"application/json"}
    return content["application/json"]


def test_the_document_is_openapi():
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
        "/health",
        "/model",
        "/livez",
        "/readyz",
        "/metrics",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/drug_consumption",
        "/v2/models/drug_consumption/ready",
    }


@pytest.mark.parametrize("path", MODELS)
def test_examples_are_accepted_by_the_service_and_by_their_schema(path):
    example = request_of(path)["example"]
    MODELS[path].model_validate_json(json.dumps(example))
    check(MODELS[path].__name__, example)
    assert request_of(path)["schema"] == {"$ref": f"#/components/schemas/{MODELS[path].__name__}"}


def test_schemas_say_what_is_accepted():
    properties = DOCUMENT["components"]["schemas"]["Profile"]["properties"]
    assert set(properties) == {*INPUTS, "scale", "drugs", "window", "include"}
    assert DOCUMENT["components"]["schemas"]["Profile"]["required"] == list(INPUTS)
    assert properties["window"]["enum"] == list(WINDOWS)
    assert properties["drugs"]["items"]["enum"] == list(DRUGS)
    for category in CATEGORIES:
        assert set(category.labels) <= set(json.dumps(properties[category.name]).split('"'))
    for score in SCORES:
        assert properties[score.name]["minimum"] == score.lowest


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"age": 18},
        {"age": 120},
        {"age": "65+"},
        *({category.name: label} for category in CATEGORIES for label in category.codes),
        *({score.name: value} for score in SCORES for value in (score.lowest, score.highest)),
        {"scale": "raw"} | {score.name: 60 for score in SCORES if score.is_neo},
        {"drugs": ["lsd"], "window": "day", "include": ["windows", "explanation"]},
    ],
    ids=str,
)
def test_what_the_service_accepts_its_schema_accepts(change):
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
def test_what_its_schema_refuses_the_service_refuses(change):
    with pytest.raises(ValidationError):
        check("Profile", EXAMPLE | change)
    with pytest.raises(ValueError, match="validation error"):
        Profile.model_validate(EXAMPLE | change)


def test_answers_are_as_described(bundle):
    changes = ({}, {"include": ["windows"]}, {"include": ["explanation"]}, {"drugs": ["lsd"]})
    profiles = [Profile.model_validate(EXAMPLE | change) for change in changes]
    answers = [json.loads(answer.model_dump_json()) for answer in Scorer(bundle).score(profiles)]
    for answer in answers:
        check("Prediction", answer)
    check("Predictions", answers)
    check("TaggedCard", json.loads((bundle.path / "card.json").read_bytes()) | {"model": bundle.tag})
    check(
        "Error", {"error": "malformed", "detail": [{"loc": ["profiles", 0, "age"], "msg": "…", "type": "unexpected"}]}
    )


def test_answers_of_the_inference_protocol_are_as_described(bundle, routes_of):
    routes = routes_of(bundle)

    async def send(method, path, content):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(routes), base_url="http://test") as client:
            return await client.request(method, path, json=content)

    paths = {path: item for path, item in DOCUMENT["paths"].items() if path.startswith("/v2")}
    for path, item in paths.items():
        ((method, described),) = item.items()
        answer = asyncio.run(send(method, path, request_of(path)["example"] if method == "post" else None))
        assert answer.status_code == 200
        schema = described["responses"]["200"]["content"]["application/json"]["schema"]
        check(schema["$ref"].rpartition("/")[2], answer.json())
