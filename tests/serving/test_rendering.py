"""Templates say what the schemas would."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drugpred.codebook import DRUGS, SCORES, WINDOWS
from drugpred.schemas import EXAMPLE, Prediction, Profile
from drugpred.scoring import Scorer
from drugpred.serving.rendering import JSONRenderer


@pytest.fixture(scope="module")
def scorer(stored_model):
    return Scorer(stored_model)


@pytest.fixture(scope="module")
def answers(scorer):
    """Return a function that renders profiles."""
    return partial(rendered, scorer)


def rendered(scorer, profiles):
    return list(map(JSONRenderer(scorer.model).render, profiles, scorer.predict_arrays(profiles)))


def parse(text):
    return {key: value for key, value in json.loads(text).items() if key != "prediction_id"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scores=st.fixed_dictionaries({score.name: st.floats(score.lowest, score.highest) for score in SCORES}),
    drugs=st.frozensets(st.sampled_from(DRUGS), min_size=1),
    window=st.sampled_from(WINDOWS),
    include=st.frozensets(st.sampled_from(["windows", "interval", "support"])),
)
def test_the_text_equals_the_scorers_answer(scorer, answers, scores, drugs, window, include):
    profile = Profile.model_validate(
        {**EXAMPLE, **scores, "drugs": sorted(drugs), "window": window, "include": sorted(include)}
    )
    (text,) = answers([profile])
    (expected,) = scorer.predict([profile])
    ids = (json.loads(each)["prediction_id"] for each in (text, expected.model_dump_json()))
    assert text.decode().replace(next(ids), "") == expected.model_dump_json().replace(next(ids), "")
    Prediction.model_validate_json(text)


def test_answers_are_in_the_order_of_the_profiles(scorer, answers):
    profiles = [
        Profile.model_validate(EXAMPLE | {"openness": openness, "window": window, "include": include})
        for openness in (-1.0, 0.0, 1.0)
        for window in ("year", "day")
        for include in ([], ["windows"], ["interval"], ["support", "windows", "interval"])
    ]
    assert [parse(text) for text in answers(profiles)] == [
        parse(expected.model_dump_json()) for expected in scorer.predict(profiles)
    ]


def test_every_answer_has_an_id_of_its_own(answers):
    profile = Profile.model_validate(EXAMPLE)
    ids = {json.loads(text)["prediction_id"] for text in answers([profile] * 100)}
    assert len(ids) == 100


def test_any_tag_is_written_as_it_is(stored_model):
    from dataclasses import replace

    scorer = Scorer(replace(stored_model, tag="drugs:50%s\0"))
    assert json.loads(rendered(scorer, [Profile.model_validate(EXAMPLE)])[0])["model"] == "drugs:50%s\0"


def test_a_risk_is_high_from_the_threshold_on(scorer):
    profile = Profile.model_validate(EXAMPLE | {"drugs": ["cannabis"]})
    (arrays,) = scorer.predict_arrays([profile])
    place, threshold = DRUGS.index("cannabis"), scorer.model.card.drugs["cannabis"]["decade"].threshold
    predictions = []
    for probability in (np.nextafter(threshold, 0), threshold):
        arrays.selected[place] = float(probability)
        (risk,) = json.loads(JSONRenderer(scorer.model).render(profile, arrays))["risks"]
        predictions.append((risk["prediction"], risk["label"]))
    assert predictions == [(0, "Low Risk"), (1, "High Risk")]
