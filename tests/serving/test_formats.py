"""How bodies are read and answers written, without a server around."""

import asyncio
import json

import pytest
from pydantic import ValidationError
from starlette.requests import Request

from drugpred.schemas import EXAMPLE, Predictions, Profile
from drugpred.scoring import Scorer
from drugpred.serving.formats import BatchInput, PredictionsOutput, ProfileInput


def request(body, content_type):
    """A request whose body comes in pieces."""
    pieces = [body[i : i + 50] for i in range(0, len(body), 50)] or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": i + 1 < len(pieces)} for i, piece in enumerate(pieces)
    ]

    async def receive():
        return messages.pop(0)

    headers = [(b"content-type", content_type.encode())] if content_type else []
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def read(kind, body, content_type="application/json"):
    return asyncio.run(kind.from_http_request(request(body, content_type), None))


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_body_is_json_whatever_its_content_type_says(content_type):
    profile = Profile.model_validate(EXAMPLE)
    assert read(ProfileInput, json.dumps(EXAMPLE).encode(), content_type).row() == profile.row()
    batch = read(BatchInput, json.dumps({"profiles": [EXAMPLE] * 2}).encode(), content_type)
    assert batch.profiles == [profile] * 2


@pytest.mark.parametrize("kind", [ProfileInput, BatchInput])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"age=25", b"[]", b'{"zebra": 1}'])
def test_any_other_body_is_refused(kind, body):
    with pytest.raises(ValidationError):
        read(kind, body)


@pytest.mark.parametrize("n", [1, 3])
def test_answers_are_written_as_each_would_be_alone(bundle, n):
    profiles = [Profile.model_validate(EXAMPLE | {"include": ["windows"]})] * n
    answers = Scorer(bundle).score(profiles)
    response = asyncio.run(PredictionsOutput.to_http_response(answers, None))
    assert response.media_type == "application/json"
    assert json.loads(response.body) == [json.loads(answer.model_dump_json()) for answer in answers]
    assert Predictions.model_validate_json(response.body).root == answers
