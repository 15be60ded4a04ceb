"""The service drugpred.v1.DrugPrediction through a real channel."""

import time

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES, WINDOWS
from drugpred.limits import MAX_PROFILES, MAX_ROWS
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import Profile
from drugpred.serving.grpc import converters


@pytest.fixture(scope="module")
def expected(stored_model, real):
    """What the predictor says of all respondents, shape (1885, 18, 6)."""
    return stored_model.predictor.predict_proba(real.X)


@pytest.fixture(scope="module")
def refusal(stub):
    """Return the code and text of what a call is ended with."""

    def ask(name, request):
        with pytest.raises(grpc.RpcError) as caught:
            list(getattr(stub, name)(request))
        return caught.value.code(), caught.value.details()

    return ask


def malformed(refusal, name, request):
    code, details = refusal(name, request)
    assert code is StatusCode.INVALID_ARGUMENT
    return details


# --- one person


def test_a_prediction_has_every_drug(stub, stored_model, real, expected, message_of):
    answer = stub.Predict(pb.PredictRequest(profile=message_of(real.X[0]))).prediction
    assert (answer.model, answer.window, answer.data_source) == (stored_model.tag, pb.WINDOW_DECADE, pb.DATA_SOURCE_UCI)
    assert [risk.drug for risk in answer.risks] == list(range(1, 19))
    probabilities = expected[0, :, WINDOWS.index("decade")]
    assert [risk.probability for risk in answer.risks] == pytest.approx(probabilities.tolist(), abs=1e-12)
    assert not any(risk.HasField("windows") or risk.HasField("explanation") for risk in answer.risks)


def test_windows_and_explanations_are_added_where_they_are_asked_for(stub, real, expected, message_of):
    asked = message_of(real.X[7], drugs=[17, 6], window="WINDOW_MONTH", include=[1, 2])
    answer = stub.Predict(pb.PredictRequest(profile=asked)).prediction
    assert [DRUGS[risk.drug - 1] for risk in answer.risks] == ["cannabis", "nicotine"]
    for risk in answer.risks:
        windows = [getattr(risk.windows, window) for window in WINDOWS]
        assert windows == pytest.approx(expected[7, risk.drug - 1].tolist(), abs=1e-12)
        assert risk.probability == windows[WINDOWS.index("month")]
        contributions = [getattr(risk.explanation.contributions, name) for name in INPUTS]
        log_odds = np.log(risk.probability / (1 - risk.probability))
        assert risk.explanation.base + sum(contributions) == pytest.approx(log_odds, abs=1e-6)


def test_raw_totals_and_years_are_taken(stub, real, message_of):
    raw = {score.name: score.raw[score.values.index(value)] for score, value in zip(SCORES, real.X[3, 5:], strict=True)}
    asked = message_of(real.X[3])
    standardized = stub.Predict(pb.PredictRequest(profile=asked)).prediction
    for score in SCORES:
        if score.is_neo:
            setattr(asked, score.name, raw[score.name])
    asked.scale = pb.SCALE_RAW
    asked.years = 20 + 10 * int(real.X[3, 0])
    assert list(stub.Predict(pb.PredictRequest(profile=asked)).prediction.risks) == list(standardized.risks)


def test_a_refusal_names_every_field_and_no_value(refusal, real, message_of):
    asked = message_of(real.X[0], drugs=[7771])
    asked.gender, asked.openness, asked.years = 7772, 7773.25, 7774
    asked.ClearField("country")
    details = malformed(refusal, "Predict", pb.PredictRequest(profile=asked))
    said = dict(violation.split(": ", 1) for violation in details.split("; "))
    assert list(said) == ["profile.age", "profile.gender", "profile.country", "profile.openness", "profile.drugs[0]"]
    assert said["profile.openness"] == "expected a number from -3.27393 to 2.90161"
    assert "777" not in details


def test_a_refusal_has_the_fields_as_details_too(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(pb.PredictRequest())
    (detail,) = rpc_status.from_call(caught.value).details
    refused = BadRequest()
    assert detail.Unpack(refused)
    assert [violation.field for violation in refused.field_violations] == [f"profile.{name}" for name in INPUTS]


# --- batches


def test_a_batch_is_answered_in_its_order(stub, real, expected, message_of):
    asked = [message_of(row, window=1 + i % 6) for i, row in enumerate(real.X[:MAX_PROFILES].tolist())]
    answers = stub.PredictBatch(pb.PredictBatchRequest(profiles=asked)).predictions
    assert len({answer.prediction_id for answer in answers}) == MAX_PROFILES
    for i, answer in enumerate(answers):
        said = [risk.probability for risk in answer.risks]
        assert said == pytest.approx(expected[i, :, i % 6].tolist(), abs=1e-12)


def test_people_of_a_batch_may_ask_for_different_things(stub, real, message_of):
    asked = [message_of(real.X[0], include=include) for include in ([], [2], [1])]
    answers = stub.PredictBatch(pb.PredictBatchRequest(profiles=asked)).predictions
    added = [(risk.HasField("windows"), risk.HasField("explanation")) for risk in (each.risks[0] for each in answers)]
    assert added == [(False, False), (False, True), (True, False)]


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, "List should have at least 1 item after validation, not 0"),
        (MAX_PROFILES + 1, "expected at most 1000 elements"),
        (3 * MAX_PROFILES, "expected at most 1000 elements"),
    ],
)
def test_a_batch_of_none_or_too_many_is_refused(refusal, real, message_of, n, expected):
    request = pb.PredictBatchRequest(profiles=[message_of(real.X[0])] * n)
    assert malformed(refusal, "PredictBatch", request) == f"profiles: {expected}"


def test_a_malformed_person_of_a_batch_is_named(refusal, real, message_of):
    asked = [message_of(row) for row in real.X[:3]]
    asked[2].ClearField("gender")
    assert (
        malformed(refusal, "PredictBatch", pb.PredictBatchRequest(profiles=asked))
        == "profiles[2].gender: Field required"
    )


# --- streams


def test_chunks_are_answered_in_order(stub, stored_model, real, expected, chunk_of):
    parts = np.array_split(np.arange(len(real.X)), 7)
    answers = list(stub.PredictStream(chunk_of(real.X[part], chunk=i * 10) for i, part in enumerate(parts)))
    assert [answer.chunk for answer in answers] == [0, 10, 20, 30, 40, 50, 60]
    for part, answer in zip(parts, answers, strict=True):
        assert (answer.model, answer.window, answer.data_source) == (
            stored_model.tag,
            pb.WINDOW_DECADE,
            pb.DATA_SOURCE_UCI,
        )
        assert list(answer.drugs) == list(range(1, 19))
        said = np.reshape(answer.probabilities, (len(part), 18))
        assert np.allclose(said, expected[part, :, WINDOWS.index("decade")], atol=1e-12, rtol=0)


def test_a_chunk_asks_for_drugs_and_a_window(stub, real, expected, chunk_of):
    (answer,) = stub.PredictStream(iter([chunk_of(real.X[:5], drugs=[17, 6, 17], window="WINDOW_DAY")]))
    assert (list(answer.drugs), answer.window) == ([6, 17], pb.WINDOW_DAY)
    said = np.reshape(answer.probabilities, (5, 2))
    assert np.allclose(said, expected[:5, [5, 16], WINDOWS.index("day")], atol=1e-12, rtol=0)


def test_a_chunk_may_hold_at_most_10000_people(stub, refusal, real, chunk_of):
    many = np.resize(real.X, (MAX_ROWS + 1, 12))
    (answer,) = stub.PredictStream(iter([chunk_of(many[:MAX_ROWS])]))
    assert len(answer.probabilities) == MAX_ROWS * 18
    for rows in (many, many[:0]):
        assert malformed(refusal, "PredictStream", iter([chunk_of(rows)])) == "chunk 0: age: expected 1 to 10000 values"


def test_a_stream_of_nothing_ends_well(stub):
    assert list(stub.PredictStream(iter([]))) == []


def test_the_first_malformed_chunk_ends_the_stream_and_is_named(stub, real, chunk_of):
    wrong = chunk_of(real.X[:9], chunk=41)
    wrong.neuroticism[6] = 27182.8
    call = stub.PredictStream(iter([chunk_of(real.X[:9], chunk=40), wrong, chunk_of(real.X[:9], chunk=42)]))
    assert next(call).chunk == 40
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "chunk 41: neuroticism[6]: expected a number from -3.46436 to 3.27393"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": 3}, "scale: Input should be 'standardized' or 'raw'"),
        ({"window": 7}, "window: Input should be 'ever', 'decade', 'year', 'month', 'week' or 'day'"),
        ({"drugs": [6, 0]}, "drugs[1]: Input should be 'alcohol', "),
        ({"gender": [1, 1, 9]}, "gender[2]: expected one of Female | Male | F | M"),
        ({"gender": [1, 0, 1]}, "gender[1]: expected one of "),
        ({"gender": [1, 1]}, "gender: expected 3 values, the same number as age"),
        ({"openness": [0.0, float("nan"), 0.0]}, "openness[1]: expected a number from "),
    ],
)
def test_mistakes_in_a_chunk_are_named(refusal, real, chunk_of, changes, said):
    chunk = chunk_of(real.X[:3])
    for name in changes:
        chunk.ClearField(name)
    chunk.MergeFrom(pb.PredictStreamRequest(**changes))
    assert malformed(refusal, "PredictStream", iter([chunk])).startswith(f"chunk 0: {said}")


PEOPLE = st.fixed_dictionaries(
    {category.name: st.integers(0, len(category.labels) + 1) for category in CATEGORIES}
    | {
        score.name: st.one_of(
            st.floats(score.lowest, score.highest),
            st.sampled_from([12.0, 60.0, 36.5, 1e9, float("nan"), score.highest]),
        )
        for score in SCORES
    }
)


@given(people=st.lists(PEOPLE, min_size=1, max_size=4), scale=st.integers(0, 3), window=st.integers(0, 7))
def test_chunks_are_taken_and_refused_as_their_people_are(stub, people, scale, window):
    asked = []
    for person in people:
        content = {"band" if name == "age" else name: value for name, value in person.items()}
        asked.append(pb.Profile(**content, scale=scale, window=window))
    chunk = pb.PredictStreamRequest(
        **{name: [person[name] for person in people] for name in INPUTS}, scale=scale, window=window
    )
    try:
        for message in asked:
            Profile.model_validate(converters.profile(message))
    except ValidationError:
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.PredictStream(iter([chunk])))
        assert caught.value.code() is StatusCode.INVALID_ARGUMENT
        return
    (answer,) = stub.PredictStream(iter([chunk]))
    answers = stub.PredictBatch(pb.PredictBatchRequest(profiles=asked)).predictions
    assert list(answer.probabilities) == pytest.approx([risk.probability for each in answers for risk in each.risks])


def test_a_client_that_stops_reading_stops_the_server(channel, real, chunk_of):
    chunk = chunk_of(np.resize(real.X, (MAX_ROWS, 12))).SerializeToString()
    taken = []

    def chunks():
        for number in range(200):
            taken.append(number)
            yield chunk

    call = channel.stream_stream("/drugpred.v1.DrugPrediction/PredictStream")(chunks())
    next(call)
    before = 0
    while before < len(taken):  # until the server stops reading
        before = len(taken)
        time.sleep(1)
    call.cancel()
    assert before < 50


def test_the_description_of_the_model(stub, stored_model):
    assert stub.GetModel(pb.GetModelRequest()) == converters.model(stored_model)
