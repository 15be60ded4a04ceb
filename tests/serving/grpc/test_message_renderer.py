"""Answers made of templates against those that are built from their parts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugpred.codebook import DRUGS, WINDOWS, describe
from drugpred.monitoring.feedback.prediction_id import TOKEN_LENGTH
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import EXAMPLE, Profile
from drugpred.scoring import Scorer
from drugpred.serving.grpc import converters
from drugpred.serving.grpc.converters import MessageRenderer


@pytest.fixture(scope="module")
def answers(stored_model):
    return Scorer(stored_model)


def filled(scorer, profiles):
    render = MessageRenderer(scorer.model).render
    made = map(render, profiles, scorer.predict_arrays(profiles))
    return [pb.PredictResponse.FromString(one).prediction for one in made]


def without_ids(answers):
    for answer in answers:
        assert len(answer.prediction_id) == TOKEN_LENGTH
        answer.ClearField("prediction_id")
    return answers


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "window": st.sampled_from(WINDOWS),
        "drugs": st.lists(st.sampled_from(DRUGS), min_size=1),
        "include": st.lists(st.sampled_from(["windows", "interval", "support"])),
    },
)


@given(asked=st.lists(st.tuples(st.integers(0, 1884), OPTIONS), min_size=1, max_size=4))
def test_they_are_the_scorers(answers, stored_model, real, asked):
    profiles = [Profile.model_validate(describe(real.X[i].tolist()) | options) for i, options in asked]
    expected = [converters.prediction(answer) for answer in Scorer(stored_model).predict(profiles)]
    assert without_ids(filled(answers, profiles)) == without_ids(expected)


def test_risk_is_high_from_the_threshold_on(stored_model):
    profile = Profile.model_validate(EXAMPLE | {"drugs": ["lsd"]})
    (answer,) = filled(Scorer(stored_model), [profile])
    probability = answer.risks[0].probability
    for threshold, high in (
        (np.nextafter(probability, 0).item(), True),
        (probability, True),
        (np.nextafter(probability, 1).item(), False),
    ):
        drugs = {name: dict(windows) for name, windows in stored_model.card.drugs.items()}
        drugs["lsd"]["decade"] = drugs["lsd"]["decade"].model_copy(update={"threshold": threshold})
        changed = replace(stored_model, card=stored_model.card.model_copy(update={"drugs": drugs}))
        (answer,) = filled(Scorer(changed), [profile])
        assert (answer.risks[0].prediction, answer.risks[0].threshold) == (high, threshold)


def test_ids_differ_and_one_answer_leaves_the_next_as_it_was(answers):
    profiles = [Profile.model_validate(EXAMPLE | {"include": include}) for include in (["windows"], [])]
    with_windows, without = filled(answers, profiles)
    assert with_windows.prediction_id != without.prediction_id
    assert [answer.risks[0].HasField("windows") for answer in (with_windows, without)] == [True, False]
