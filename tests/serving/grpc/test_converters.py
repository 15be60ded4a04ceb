"""Messages against the types that HTTP speaks."""

import json
import re
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from drugpred import codebook
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES, WINDOWS
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import EXAMPLE, Addition, Profile
from drugpred.scoring import Scorer
from drugpred.serving.grpc import converters

ENUMS = {
    pb.AgeBand: codebook.AGE.labels,
    pb.Gender: codebook.GENDER.labels,
    pb.Education: codebook.EDUCATION.labels,
    pb.Country: codebook.COUNTRY.labels,
    pb.Ethnicity: codebook.ETHNICITY.labels,
    pb.Drug: DRUGS,
    pb.Window: WINDOWS,
    pb.Scale: ("standardized", "raw"),
    pb.Include: get_args(Addition),
    pb.SupportLevel: codebook.SUPPORT_LEVELS,
    pb.DataSource: ("uci", "file", "simulated"),
}


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower().replace("_", " "))


@pytest.mark.parametrize(("enum", "labels"), ENUMS.items(), ids=[enum.DESCRIPTOR.name for enum in ENUMS])
def test_numbers_of_an_enum_stand_for_the_codebooks_labels_in_order(enum, labels):
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.DESCRIPTOR.name).upper() + "_"
    names = dict(sorted((number, name.removeprefix(prefix)) for name, number in enum.items()))
    assert list(names) == list(range(len(labels) + 1))
    assert names.pop(0) == "UNSPECIFIED"
    for name, label in zip(names.values(), labels, strict=True):
        assert all(said == meant for said, meant in zip(words(name), words(label), strict=False))


def person(**changes):
    """The example of HTTP as a message."""
    scores = {score.name: EXAMPLE[score.name] for score in SCORES}
    categories = {"years": 25, "gender": 1, "education": 7, "country": 6, "ethnicity": 7}
    return pb.Profile(**scores | categories | changes)


def test_a_profile_is_converted_to_the_http_form():
    assert converters.profile(person()) == EXAMPLE | {"gender": "Female"}
    asked = person(scale="SCALE_RAW", drugs=[6, 1], window="WINDOW_WEEK", include=[1, 2, 3, 4])
    options = {"scale": "raw", "drugs": ["cannabis", "alcohol"], "window": "week"}
    assert converters.profile(asked) == EXAMPLE | {"gender": "Female"} | options | {
        "include": ["windows", "explanation", "interval", "support"]
    }


def test_respondents_become_their_rows(real, message_of):
    for row in real.X[::20].tolist():
        assert Profile.model_validate(converters.profile(message_of(row))).row() == row


def test_unset_fields_are_left_out():
    assert converters.profile(pb.Profile()) == {}
    for name in INPUTS:
        asked = person()
        asked.ClearField(name)
        assert converters.profile(asked) == {
            key: value for key, value in converters.profile(person()).items() if key != name
        }


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_a_score_of_0_is_given(score):
    assert converters.profile(pb.Profile(**{score.name: 0.0})) == {score.name: 0.0}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"band": 0}, ("age",)),
        ({"band": 7}, ("age",)),
        ({"years": 0}, ("age",)),
        ({"gender": 3}, ("gender",)),
        ({"education": -1}, ("education",)),
        ({"country": 8}, ("country",)),
        ({"ethnicity": 2**31 - 1}, ("ethnicity",)),
        ({"scale": 3}, ("scale",)),
        ({"window": 7}, ("window",)),
        ({"drugs": [1, 0]}, ("drugs", 1)),
        ({"drugs": [19]}, ("drugs", 0)),
        ({"include": [0]}, ("include", 0)),
        ({"include": [1, 5]}, ("include", 1)),
        ({"neuroticism": float("nan")}, ("neuroticism",)),
        ({"openness": float("inf")}, ("openness",)),
    ],
)
def test_an_unknown_enum_number_is_refused_with_its_place(changes, place):
    with pytest.raises(ValidationError) as caught:
        Profile.model_validate(converters.profile(person(**changes)))
    assert [error["loc"] for error in caught.value.errors()] == [place]


def test_a_chunk_becomes_codes_and_scores(real, chunk_of):
    columns = converters.columns(chunk_of(real.X[:50]))
    assert tuple(columns) == INPUTS
    assert np.array_equal(np.column_stack(list(columns.values())), real.X[:50])
    assert {columns[category.name].dtype for category in CATEGORIES} == {np.dtype(np.int64)}


def test_the_options_of_a_chunk_are_those_of_a_profile():
    asked = {"scale": 2, "drugs": [6, 1], "window": 5, "include": [3, 4]}
    assert converters.options(pb.PredictStreamRequest(**asked)) == converters.profile(pb.Profile(**asked))
    assert converters.options(pb.PredictStreamRequest()) == {}


@pytest.mark.parametrize(
    "include",
    [[], ["windows"], ["explanation"], ["windows", "explanation"], ["interval"], ["windows", "interval", "support"]],
)
def test_an_answer_loses_nothing_but_the_label(stored_model, include):
    asked = Profile.model_validate(EXAMPLE | {"include": include, "window": "year", "drugs": DRUGS[2:9]})
    (answer,) = Scorer(stored_model).predict([asked])
    message = converters.prediction(answer)
    assert (message.prediction_id, message.model) == (answer.prediction_id, answer.model)
    assert (message.window, message.data_source) == (pb.WINDOW_YEAR, pb.DATA_SOURCE_UCI)
    assert [DRUGS[risk.drug - 1] for risk in message.risks] == [risk["drug"] for risk in answer.risks]
    for said, risk in zip(message.risks, answer.risks, strict=True):
        for name in ("probability", "threshold", "base_rate", "reliable", "prediction"):
            assert getattr(said, name) == risk[name]
        assert (said.auc if said.HasField("auc") else None) == risk["auc"]
        assert said.HasField("windows") == ("windows" in risk)
        assert said.HasField("explanation") == ("explanation" in risk)
        for window, probability in risk.get("windows", {}).items():
            assert getattr(said.windows, window) == probability
        if "explanation" in risk:
            assert said.explanation.base == risk["explanation"]["base"]
            contributions = {name: getattr(said.explanation.contributions, name) for name in INPUTS}
            assert contributions == risk["explanation"]["contributions"]


def test_an_auc_that_could_not_be_measured_is_absent(stored_model):
    (answer,) = Scorer(stored_model).predict([Profile.model_validate(EXAMPLE)])
    answer.risks[0]["auc"] = None
    assert not converters.prediction(answer).risks[0].HasField("auc")


def test_the_description_of_the_model(stored_model):
    message = converters.model(stored_model)
    assert (message.model, message.data_source) == (stored_model.tag, pb.DATA_SOURCE_UCI)
    assert json.loads(message.card) == json.loads((stored_model.path / "card.json").read_bytes()) | {
        "model": stored_model.tag
    }
    figures = {(DRUGS[measure.drug - 1], WINDOWS[measure.window - 1]): measure for measure in message.measures}
    assert list(figures) == [(drug, window) for drug in DRUGS for window in WINDOWS]
    for (drug, window), measure in figures.items():
        card = stored_model.card.drugs[drug][window]
        assert (measure.threshold, measure.base_rate, measure.reliable) == (
            card.threshold,
            card.base_rate,
            card.reliable,
        )
        assert (measure.auc if measure.HasField("auc") else None) == card.auc
