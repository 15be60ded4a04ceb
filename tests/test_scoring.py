"""Answers against the predictor and the card that they are made of."""

from dataclasses import replace

import numpy as np
import pytest

from drugpred.codebook import DRUGS, INPUTS, WINDOWS
from drugpred.schemas import EXAMPLE, Prediction, Profile
from drugpred.scoring import Scorer


def profile(**changes):
    return Profile.model_validate(EXAMPLE | changes)


def probabilities(stored_model, *profiles):
    return stored_model.predictor.predict_proba(np.array([profile.row() for profile in profiles], np.float64))


@pytest.fixture(scope="module")
def scorer(stored_model):
    return Scorer(stored_model)


def test_an_answer_has_every_drug_in_the_codebooks_order(scorer):
    (answer,) = scorer.predict([profile()])
    assert [risk["drug"] for risk in answer.risks] == list(DRUGS)


@pytest.mark.parametrize("window", WINDOWS)
def test_probabilities_and_figures_are_those_of_the_window(scorer, stored_model, window):
    asked = profile(window=window)
    (answer,) = scorer.predict([asked])
    (expected,) = probabilities(stored_model, asked)
    assert answer.window == window
    for i, risk in enumerate(answer.risks):
        card = stored_model.card.drugs[risk["drug"]][window]
        assert risk["probability"] == expected[i, WINDOWS.index(window)]
        figures = (risk["threshold"], risk["base_rate"], risk["auc"], risk["reliable"])
        assert figures == (card.threshold, card.base_rate, card.auc, card.reliable)
        high = risk["probability"] >= card.threshold
        assert (risk["prediction"], risk["label"]) == ((1, "High Risk") if high else (0, "Low Risk"))


def with_threshold(stored_model, drug, threshold):
    drugs = {name: dict(windows) for name, windows in stored_model.card.drugs.items()}
    drugs[drug]["decade"] = drugs[drug]["decade"].model_copy(update={"threshold": threshold})
    return replace(stored_model, card=stored_model.card.model_copy(update={"drugs": drugs}))


def test_risk_is_high_from_the_threshold_on(stored_model):
    probability = probabilities(stored_model, profile())[0, DRUGS.index("lsd"), WINDOWS.index("decade")].item()
    for threshold, prediction in (
        (np.nextafter(probability, 0).item(), 1),
        (probability, 1),
        (np.nextafter(probability, 1).item(), 0),
    ):
        (answer,) = Scorer(with_threshold(stored_model, "lsd", threshold)).predict([profile(drugs=["lsd"])])
        assert answer.risks[0]["prediction"] == prediction


def test_only_requested_drugs_are_answered_in_the_codebooks_order(scorer):
    everything, some = scorer.predict([profile(), profile(drugs=["nicotine", "alcohol", "lsd"])])
    assert [risk["drug"] for risk in some.risks] == ["alcohol", "lsd", "nicotine"]
    assert [risk for risk in everything.risks if risk["drug"] in {"alcohol", "lsd", "nicotine"}] == some.risks


def test_every_window_is_answered_on_request(scorer, stored_model):
    asked = profile(include=["windows"], window="week")
    (answer,) = scorer.predict([asked])
    (expected,) = probabilities(stored_model, asked)
    for i, risk in enumerate(answer.risks):
        assert list(risk["windows"]) == list(WINDOWS)
        assert list(risk["windows"].values()) == expected[i].tolist()
        assert risk["windows"]["week"] == risk["probability"]
    assert all("windows" not in risk for risk in scorer.predict([profile()])[0].risks)


@pytest.mark.parametrize("window", WINDOWS)
def test_the_probability_of_the_window_is_explained_where_asked_for(scorer, stored_model, window):
    asked = profile(include=["explanation"], window=window)
    (answer,) = scorer.predict([asked])
    bases, contributions = stored_model.explainer.explain(np.array(asked.row(), np.float64))
    for i, risk in enumerate(answer.risks):
        explanation, p = risk["explanation"], risk["probability"]
        assert list(explanation) == ["base", "contributions"]
        assert list(explanation["contributions"]) == list(INPUTS)
        assert explanation["base"] == bases[i, WINDOWS.index(window)]
        assert list(explanation["contributions"].values()) == contributions[i, WINDOWS.index(window)].tolist()
        log_odds = explanation["base"] + sum(explanation["contributions"].values())
        assert log_odds == pytest.approx(np.log(p / (1 - p)), abs=1e-9)


def test_only_requested_explanations_are_made(scorer):
    profiles = [profile(), profile(drugs=["lsd", "crack"], include=["explanation"]), profile(include=["windows"])]
    plain, explained, windows = scorer.predict(profiles)
    assert [risk["drug"] for risk in explained.risks if "explanation" in risk] == ["crack", "lsd"]
    assert not any("explanation" in risk for answer in (plain, windows) for risk in answer.risks)
    (alone,) = scorer.predict([profiles[1]])
    for one, other in zip(alone.risks, explained.risks, strict=True):
        assert one["explanation"] == other["explanation"]


def test_answers_stand_in_the_order_of_the_profiles(scorer):
    profiles = [profile(openness=value, window=window) for value in (-3.0, 0.0, 2.5) for window in WINDOWS]
    together = scorer.predict(profiles)
    alone = [scorer.predict([asked])[0] for asked in profiles]
    assert [answer.window for answer in together] == [asked.window for asked in profiles]
    for one, other in zip(together, alone, strict=True):
        expected = [risk["probability"] for risk in other.risks]
        assert [risk["probability"] for risk in one.risks] == pytest.approx(expected, abs=1e-12)


def test_every_answer_has_an_id_of_its_own_and_names_its_model(scorer, stored_model):
    answers = scorer.predict([profile()] * 100)
    assert len({answer.prediction_id for answer in answers}) == 100
    assert {(answer.model, answer.data_source) for answer in answers} == {(stored_model.tag, "uci")}


def test_answers_are_as_their_schema_says(scorer):
    included = profile(include=["windows", "explanation"])
    for answer in scorer.predict([profile(), included, profile(drugs=["crack"], window="day")]):
        # Scorer builds them unchecked.
        assert Prediction.model_validate_json(answer.model_dump_json(), strict=True) == answer
