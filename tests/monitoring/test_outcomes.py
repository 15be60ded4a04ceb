"""The counters against scikit-learn, on what the respondents of the survey would have reported."""

import math

import numpy as np
import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, recall_score

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.monitoring import outcomes
from drugpred.monitoring.outcomes import BINS, calibration, measures, record
from drugpred.monitoring.tokens import Claim, Tokens, asked, new_key

KEY = new_key()
SERIES = ("outcomes", "brier", "log_loss", "calibration_outcomes", "calibration_probability")


@pytest.fixture(autouse=True)
def anew():
    """Counts from zero; others in this process may have counted."""
    for counter in vars(outcomes).values():
        if isinstance(counter, outcomes.Counter):
            counter.clear()


def samples():
    return [sample for family in REGISTRY.collect() for sample in family.samples]


def thresholds(bundle, window):
    return {drug: bundle.card.drugs[drug][window].threshold for drug in DRUGS}


@pytest.fixture
def survey(bundle, real, anew):
    """Outcomes drawn from the probabilities themselves, reported with tokens: probabilities and users, (n, 18)."""

    def report(window):
        values = bundle.predictor.probabilities(real.X)
        users = (
            np.random.default_rng(WINDOWS.index(window)).random(values.shape[:2]) < values[..., WINDOWS.index(window)]
        )
        tokens = Tokens.of(KEY, bundle)
        for token, used in zip(
            tokens.sign(values, [asked(window, frozenset(DRUGS))] * len(values)), users, strict=True
        ):
            told = dict(zip(DRUGS, used.tolist(), strict=True))
            record(tokens.verify(token), told, thresholds(bundle, window))
        return values[..., WINDOWS.index(window)], users

    return report


@pytest.mark.parametrize("window", ["ever", "decade", "day"])
def test_measures_are_those_of_scikit_learn(survey, bundle, window):
    probabilities, users = survey(window)
    found = measures(samples())
    assert set(found) == {(drug, window) for drug in DRUGS}
    for i, drug in enumerate(DRUGS):
        p, used, of = probabilities[:, i], users[:, i], found[drug, window]
        high = p >= thresholds(bundle, window)[drug]
        assert (of.used, of.not_used) == (used.sum(), (~used).sum())
        # One answer may lie so near to its threshold that the token puts it on the other side.
        for share, positive, n in ((of.sensitivity, True, of.used), (of.specificity, False, of.not_used)):
            expected = recall_score(used, high, pos_label=positive) if n else None
            assert share == (pytest.approx(expected) if n else None)
        assert of.brier == pytest.approx(brier_score_loss(used, p), abs=1e-6)
        assert of.log_loss == pytest.approx(log_loss(used, p, labels=[False, True]), rel=1e-3, abs=1e-6)


def test_calibration_is_that_of_scikit_learn(survey):
    probabilities, users = survey("decade")
    found = calibration(samples())
    assert set(found) == set(DRUGS)
    for i, drug in enumerate(DRUGS):
        used, mean = calibration_curve(users[:, i], probabilities[:, i], n_bins=10)
        bins = [found[drug][label] for label in BINS if label in found[drug]]
        assert sum(each.outcomes for each in bins) == len(users)
        assert [each.probability for each in bins] == pytest.approx(mean.tolist(), abs=0.01)
        assert [each.used for each in bins] == pytest.approx(used.tolist(), abs=0.05)
        weights = [each.outcomes for each in bins]
        assert np.average([each.probability for each in bins], weights=weights) == pytest.approx(
            probabilities[:, i].mean(), abs=1e-6
        )


def test_what_is_calibrated_looks_calibrated(survey):
    for window in WINDOWS:
        survey(window)
    far = [
        abs(each.probability - each.used) / math.sqrt(each.probability * (1 - each.probability) / each.outcomes)
        for by_bin in calibration(samples()).values()
        for each in by_bin.values()
        if each.outcomes * min(each.probability, 1 - each.probability) > 10
    ]
    assert len(far) > 50
    assert np.sqrt(np.mean(np.square(far))) == pytest.approx(1, abs=0.25)


def test_processes_add_up(survey):
    survey("decade")
    one = samples()
    twice = measures(one + one)
    for key, single in measures(one).items():
        assert twice[key] == single._replace(used=2 * single.used, not_used=2 * single.not_used)
    assert {drug: {at: each.outcomes for at, each in by.items()} for drug, by in calibration(one + one).items()} == {
        drug: {at: 2 * each.outcomes for at, each in by.items()} for drug, by in calibration(one).items()
    }


def test_measures_can_be_made_of_what_prometheus_reads(survey):
    survey("month")
    text = generate_latest(REGISTRY).decode()
    read = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert measures(read) == measures(samples())
    assert calibration(read) == calibration(samples())


def test_one_outcome_is_counted_where_it_belongs():
    record(Claim("week", {"lsd": 0.25, "crack": 0.75}, 0, b""), {"lsd": True}, {"lsd": 0.25, "crack": 0.5})
    counted = {
        (sample.name, *sample.labels.values()): sample.value
        for sample in samples()
        if sample.name in {f"drugpred_{name}_total" for name in SERIES}
    }
    assert counted == {
        ("drugpred_outcomes_total", "lsd", "week", "High Risk", "used"): 1,
        ("drugpred_brier_total", "lsd", "week"): 0.5625,
        ("drugpred_log_loss_total", "lsd", "week"): pytest.approx(math.log(4)),
        ("drugpred_calibration_outcomes_total", "lsd", "0.2-0.3", "used"): 1,
        ("drugpred_calibration_probability_total", "lsd", "0.2-0.3"): 0.25,
    }
    (of,) = measures(samples()).values()
    assert of == (1, 0, 1.0, None, 0.5625, pytest.approx(math.log(4)))


@pytest.mark.parametrize(("probability", "used"), [(0.0, True), (1.0, False), (0.0, False), (1.0, True)])
def test_answers_that_were_certain_have_finite_scores(probability, used):
    tokens = Tokens(KEY, "drug_consumption:one", np.full((18, 6), 0.5))
    (token,) = tokens.sign(np.full((1, 18, 6), probability), [asked("day", frozenset(["crack"]))])
    record(tokens.verify(token), {"crack": used}, {"crack": 0.5})
    of = measures(samples())["crack", "day"]
    wrong = used != bool(probability)
    assert of.log_loss == pytest.approx(math.log(2**17) if wrong else 2**-17, rel=1e-3)
    assert of.brier == pytest.approx(float(wrong), abs=1e-4)


def test_nothing_is_told_of_nothing():
    assert measures(samples()) == {}
    assert calibration(samples()) == {}
