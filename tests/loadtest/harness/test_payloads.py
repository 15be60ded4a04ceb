"""People of the load test."""

import json

from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import Batch, Profile
from drugpred.serving.grpc import converters
from loadtest.harness import payloads


def test_they_are_many_and_differ():
    assert len(payloads.PROFILES) == 10_000
    assert len(set(payloads.PROFILES)) > 9_900


def test_over_grpc_the_same_people_ask_as_over_http():
    for body, message in zip(payloads.PROFILES[:500], payloads.MESSAGES, strict=False):
        asked = converters.profile(pb.PredictRequest.FromString(message).profile)
        assert Profile.model_validate(asked) == Profile.model_validate_json(body)


def test_batches_are_of_them():
    assert len(payloads.BATCHES) == 100
    for body in payloads.BATCHES[:5]:
        assert {json.dumps(profile) for profile in json.loads(body)["profiles"]} < set(payloads.PROFILES)
        assert len(Batch.model_validate_json(body).profiles) == payloads.BATCH
