"""What the client writes the service reads, and the other way round."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugpred import tabular
from drugpred.client import converters
from drugpred.client.calls import as_stream_options
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, NEO_TOTALS, SCORES, WINDOWS
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import Addition, Prediction, Profile
from drugpred.serving.grpc import converters as service

CODES = {category.name: st.sampled_from(category.labels) for category in CATEGORIES}
SCALES = {
    "standardized": {score.name: st.floats(score.lowest, score.highest) for score in SCORES},
    "raw": {
        score.name: st.integers(*NEO_TOTALS) if score.is_neo else st.sampled_from(score.values) for score in SCORES
    },
}
OPTIONS = {
    "drugs": st.frozensets(st.sampled_from(DRUGS), min_size=1),
    "window": st.sampled_from(WINDOWS),
    "include": st.frozensets(st.sampled_from(get_args(Addition))),
}
PROFILES = st.sampled_from(list(SCALES)).flatmap(
    lambda scale: st.fixed_dictionaries(CODES | SCALES[scale] | {"scale": st.just(scale)}, optional=OPTIONS)
)


@given(PROFILES.map(Profile.model_validate))
def test_profiles(profile):
    sent = converters.profile(profile).SerializeToString()
    assert Profile.model_validate(service.profile(pb.Profile.FromString(sent))) == profile


RISK = {
    "drug": "lsd",
    "probability": 0.1 + 0.2,
    "prediction": 1,
    "label": "High Risk",
    "threshold": 0.2955,
    "base_rate": 0.2955,
    "auc": 0.9006,
    "reliable": True,
}


@pytest.mark.parametrize("source", ["uci", "file", "simulated"])
@pytest.mark.parametrize("window", WINDOWS)
def test_predictions(window, source):
    windows = dict(zip(WINDOWS, [0.6, 0.5, 0.4, 0.3, 0.2, 0.0], strict=True))
    explanation = {"base": -0.1, "contributions": {name: i / 7 - 1 for i, name in enumerate(INPUTS)}}
    risks = [
        *({**RISK, "drug": drug} for drug in DRUGS),
        {**RISK, "prediction": 0, "label": "Low Risk", "auc": None, "reliable": False},
        {**RISK, "probability": 0.0, "auc": 0.0, "windows": windows, "explanation": explanation},
    ]
    interval = {"low": 0.25, "high": 0.5}
    risks[-2] |= {"interval": interval, "window_intervals": dict.fromkeys(WINDOWS, interval)}
    support = {"similar": 27, "percentile": 8, "level": "thin"}
    answer = Prediction(
        prediction_id="7",
        model="drug_consumption:7",
        window=window,
        data_source=source,
        risks=risks,
        support=support if window == "week" else None,
    )
    sent = service.prediction(answer).SerializeToString()
    assert converters.prediction(pb.Prediction.FromString(sent)) == answer


def test_chunks(real):
    wanted = as_stream_options(["lsd", "alcohol"], "week", ["support"])
    request = pb.PredictStreamRequest.FromString(converters.chunk(7, real.X, wanted).SerializeToString())
    np.testing.assert_array_equal(tabular.encode(service.columns(request)), real.X)
    assert request.chunk == 7
    assert service.options(request) == {"drugs": ["lsd", "alcohol"], "window": "week", "include": ["support"]}


def test_answers_of_chunks():
    response = pb.PredictStreamResponse(drugs=[pb.DRUG_ALCOHOL, pb.DRUG_LSD], probabilities=[0.9, 0.1, 0.8, 0.2])
    answer = converters.table(response, 2, as_stream_options(["lsd", "alcohol"], "year"))
    np.testing.assert_array_equal(answer, [[0.1, 0.9], [0.2, 0.8]])


def test_answers_of_chunks_with_additions():
    response = pb.PredictStreamResponse(
        drugs=[pb.DRUG_ALCOHOL, pb.DRUG_LSD],
        probabilities=[0.9, 0.1],
        low=[0.8, 0.05],
        high=[0.95, 0.2],
        similar=[27],
        percentile=[8],
        level=["SUPPORT_LEVEL_THIN"],
    )
    options = as_stream_options(["lsd", "alcohol"], "year", ["interval", "support"])
    assert options.columns() == [
        *("lsd", "lsd_low", "lsd_high", "alcohol", "alcohol_low", "alcohol_high"),
        *("similar", "percentile", "level"),
    ]
    np.testing.assert_array_equal(converters.table(response, 1, options), [[0.1, 0.05, 0.2, 0.9, 0.8, 0.95, 27, 8, 1]])
