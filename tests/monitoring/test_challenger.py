"""A challenger is compared with the served model on the same people, and never touches an answer."""

from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import REGISTRY

from drugpred.codebook import DECADE, DRUGS, WINDOWS
from drugpred.monitoring.comparison import compare_losses
from drugpred.monitoring.feedback.prediction_id import new_key
from drugpred.monitoring.prediction_metrics import PredictionCounter
from drugpred.schemas import EXAMPLE, Profile
from drugpred.scoring import Scorer
from drugpred.selection import select
from tests.harness.metrics import samples

NAMES = ("cannabis", "lsd", "crack")


@pytest.fixture
def scorer(stored_model, other_model):
    for counter in list(REGISTRY._collector_to_names):
        if any(name.startswith("drugpred_challenger_") for name in REGISTRY._collector_to_names[counter]):
            counter.clear() if getattr(counter, "_labelnames", ()) else counter.reset()
    return Scorer(stored_model, new_key(), other_model)


def counted(name, **labels):
    return sum(sample.value for sample in samples(f"challenger_{name}") if labels.items() <= sample.labels.items())


def test_disagreement_is_that_of_the_two_models_on_requested_drugs(scorer, stored_model, other_model, real):
    rows, drugs = real.X[:500], frozenset(NAMES)
    scorer.predict_proba(rows[:200], select("year", drugs))  # a stream or tensors, without prediction ids
    for row in rows[200:]:
        profile = Profile.model_validate(EXAMPLE | {"window": "year", "drugs": NAMES})
        scorer.counter.add(row[None], stored_model.predictor.predict_proba(row[None]), select("year", profile.drugs))
    scorer.counter.flush()
    p, q = (model.predictor.predict_proba(rows)[:, :, WINDOWS.index("year")] for model in (stored_model, other_model))
    threshold = stored_model.card.thresholds[:, WINDOWS.index("year")]
    report = scorer.challenger.report()
    assert (report.model, report.challenger, report.failed) == (stored_model.tag, other_model.tag, False)
    for i, drug in enumerate(DRUGS):
        found = report.disagreement[drug]
        if drug not in NAMES:
            assert (found.predictions, found.mean_absolute) == (0, None)
            continue
        assert found.predictions == 500
        assert found.mean_absolute == pytest.approx(np.abs(q - p)[:, i].mean(), abs=1e-12)
        assert found.root_mean_square == pytest.approx(((q - p)[:, i] ** 2).mean() ** 0.5, abs=1e-12)
        assert found.flips == pytest.approx(((q >= threshold) != (p >= threshold))[:, i].mean())
        assert counted("probability", drug=drug, window="year") == pytest.approx(q[:, i].sum(), rel=1e-12)
    assert counted("score", drug="lsd") == 500
    assert counted("predictions", window="decade") == 0


def test_feedback_scores_both_models_on_the_same_people(scorer, stored_model, other_model, real):
    rng = np.random.default_rng(5)
    rows = real.X[:150]
    p, q = (model.predictor.predict_proba(rows) for model in (stored_model, other_model))
    tokens = scorer.signer.sign(p, [select("decade", frozenset(NAMES))] * 150, q)
    people = {name: [] for name in ("brier", "log_loss")}
    for i, token in enumerate(tokens):
        claim = scorer.signer.verify(token)
        outcomes = {drug: bool(rng.random() < 0.5) for drug in NAMES[: 1 + i % 3]}
        scorer.challenger.record(claim, outcomes)
        used = np.array(list(outcomes.values()))
        both = [np.array([of[drug] for drug in outcomes]) for of in (claim.probabilities, claim.challenger)]
        at = [DRUGS.index(drug) for drug in outcomes]
        assert np.abs(both[1] - q[i, at, DECADE]).max() < 8e-6
        people["brier"].append([((each - used) ** 2).mean() for each in both])
        people["log_loss"].append([-np.log(np.where(used, each, 1 - each)).mean() for each in both])
    report = scorer.challenger.report()
    assert report.people == 150
    for name, losses in people.items():
        offline = compare_losses(*np.array(losses).T).model_dump()
        found = getattr(report, name).model_dump()
        assert found.pop("verdict") == offline.pop("verdict")
        assert found == pytest.approx(offline, abs=1e-9)
    assert counted("outcomes", drug="cannabis") == 150
    assert counted("outcomes", drug="crack") == 50
    assert counted("calibration_outcomes") == counted("outcomes") == 300


def test_feedback_on_another_challenger_counts_for_the_served_model_alone(scorer, stored_model, other_model, real):
    third = replace(other_model, tag="drug_consumption:third")
    before = Scorer(stored_model, (key := new_key()), third)
    p = stored_model.predictor.predict_proba(real.X[:1])
    (token,) = before.signer.sign(p, [select("decade", frozenset(NAMES))], p)
    claim = Scorer(stored_model, key, other_model).signer.verify(token)
    assert claim.challenger is None
    scorer.challenger.record(claim, {"lsd": True})
    assert scorer.challenger.report().people == 0
    assert Scorer(stored_model, key).signer.verify(token).challenger is None


def test_answers_are_those_of_the_served_model(scorer, stored_model):
    profiles = [Profile.model_validate(EXAMPLE | {"include": ["windows"]})] * 3
    alone = [answer.model_dump(exclude={"prediction_id"}) for answer in Scorer(stored_model).predict(profiles)]
    assert [answer.model_dump(exclude={"prediction_id"}) for answer in scorer.predict(profiles)] == alone


@pytest.mark.parametrize("where", ["answering", "counting"])
def test_a_challenger_that_fails_is_dropped_once_and_answers_continue(scorer, real, caplog, monkeypatch, where):
    def fail(_):
        raise RuntimeError("broken")

    monkeypatch.setattr(scorer.challenger.model.predictor, "predict_design", fail)
    profile = Profile.model_validate(EXAMPLE)
    for _ in range(2):
        if where == "answering":
            (answer,) = scorer.predict([profile])
            assert len(answer.risks) == len(DRUGS)
            assert scorer.signer.verify(answer.prediction_id).challenger is None
        else:
            scorer.predict_proba(real.X[:5], select("decade", frozenset(DRUGS)))
        scorer.counter.flush()
    assert scorer.challenger.report().failed
    assert counted("failures") == 1
    assert caplog.text.count("the challenger drug_consumption:other failed and is dropped") == 1


def test_all_series_begin_at_nothing(scorer):
    names = {
        sample.name
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith("drugpred_challenger_") and sample.name.endswith("_total")
    }
    assert len(names) == 15
    assert {counted(name.removeprefix("drugpred_challenger_").removesuffix("_total")) for name in names} == {0}


def test_a_counter_without_a_challenger_counts_none(stored_model, real):
    before = counted("predictions")
    counter = PredictionCounter(stored_model.card, stored_model.uncertainty)
    counter.add(real.X[:5], stored_model.predictor.predict_proba(real.X[:5]), select("decade", frozenset(DRUGS)))
    counter.flush()
    assert counted("predictions") == before
