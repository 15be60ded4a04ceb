"""People of the load test."""

import json

import pytest

from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import Batch, Profile
from drugpred.serving.grpc import converters


@pytest.fixture
def people(module):
    return module("people")


def test_they_are_many_and_differ(people):
    assert len(people.PROFILES) == 10_000
    assert len(set(people.PROFILES)) > 9_900


def test_over_grpc_the_same_people_ask_as_over_http(people):
    for body, message in zip(people.PROFILES[:500], people.MESSAGES, strict=False):
        asked = converters.profile(pb.PredictRequest.FromString(message).profile)
        assert Profile.model_validate(asked) == Profile.model_validate_json(body)


def test_batches_are_of_them(people):
    assert len(people.BATCHES) == 100
    for body in people.BATCHES[:5]:
        assert {json.dumps(profile) for profile in json.loads(body)["profiles"]} < set(people.PROFILES)
        assert len(Batch.model_validate_json(body).profiles) == people.BATCH
