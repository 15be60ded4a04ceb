"""What calls leave behind: nothing that waits for the collector, which sees no memory of messages."""

import gc
from contextlib import suppress

import grpc
import numpy as np
import psutil
import pytest

from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.model_store import NAME
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.inference import grpc_service_pb2 as inference

MB = 2**20
CALLS = 30


@pytest.fixture
def collector():
    """No collector, and nothing to collect."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def tensors(name=NAME, **changes):
    request = inference.ModelInferRequest(model_name=name)
    for each in INPUTS:
        tensor = request.inputs.add(name=each, shape=[10_000])
        if each in {category.name for category in CATEGORIES}:
            tensor.datatype = "BYTES"
            tensor.contents.bytes_contents.extend([b"zebra"] * 10_000)
        else:
            tensor.datatype = "FP64"
            tensor.contents.fp64_contents.extend(np.zeros(10_000))
    return request.SerializeToString()


def batch():
    """The longest, of which the last profile is malformed."""
    scores = {score.name: 0.0 for score in SCORES}
    categories = {category.name: 1 for category in CATEGORIES[1:]}
    person = pb.Profile(band=1, drugs=[1] * 60, **categories, **scores)
    return pb.PredictBatchRequest(profiles=[*[person] * 999, pb.Profile()]).SerializeToString()


def chunk():
    return pb.PredictStreamRequest(neuroticism=np.zeros(100_000)).SerializeToString()


MESSAGES = {
    "empty profiles": ("drugpred.v1.DrugPrediction/PredictBatch", lambda: b"\x0a\x00" * 1_000_000),
    "profiles": ("drugpred.v1.DrugPrediction/PredictBatch", batch),
    "empty outputs": ("inference.GRPCInferenceService/ModelInfer", lambda: b"\x32\x00" * 1_000_000),
    "tensors": ("inference.GRPCInferenceService/ModelInfer", tensors),
    "another model": ("inference.GRPCInferenceService/ModelInfer", lambda: tensors("zebra")),
    "chunks": ("drugpred.v1.DrugPrediction/PredictStream", chunk),
    "a long Predict": ("drugpred.v1.DrugPrediction/Predict", lambda: b"\x0a\x00" * 1_000_000),
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_refused_call_leaves_nothing_behind(channel, collector, kind):
    method, make = MESSAGES[kind]
    message = make()
    ask = channel.stream_stream(f"/{method}")

    def call(n):
        for _ in range(n):
            with suppress(grpc.RpcError):
                list(ask(iter([message])))
                pytest.fail("it was answered")

    call(20)  # by then each of malloc's arenas is as large as it gets
    before = psutil.Process().memory_info().rss
    call(CALLS)
    assert psutil.Process().memory_info().rss - before < 24 * MB
