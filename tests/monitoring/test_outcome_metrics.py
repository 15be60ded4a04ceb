"""Counts of outcomes; tests/configs/monitoring/test_performance_rules.py tests the rules over them."""

import math

import numpy as np
import pytest

from drugpred.codebook import DRUGS
from drugpred.monitoring import metrics, outcome_metrics
from drugpred.monitoring.feedback.prediction_id import PredictionClaim, PredictionIdSigner, new_key
from drugpred.monitoring.outcome_metrics import record
from drugpred.selection import select
from tests.harness.metrics import samples

SERIES = ("outcomes", "brier", "log_loss", "calibration_outcomes", "calibration_probability")


@pytest.fixture(autouse=True)
def fresh():
    """Counts from zero; others in this process may have counted."""
    for name in (*SERIES, "feedback"):
        getattr(metrics, name.upper()).clear()


def counted():
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples(*SERIES)}


def test_one_outcome_is_counted_in_its_series():
    record(PredictionClaim("week", {"lsd": 0.25, "crack": 0.75}, 0, b""), {"lsd": True}, {"lsd": 0.25, "crack": 0.5})
    assert counted() == {
        ("drugpred_outcomes_total", "lsd", "week", "High Risk", "used"): 1,
        ("drugpred_brier_total", "lsd", "week"): 0.5625,
        ("drugpred_log_loss_total", "lsd", "week"): pytest.approx(math.log(4)),
        ("drugpred_calibration_outcomes_total", "lsd", "0.2-0.3", "used"): 1,
        ("drugpred_calibration_probability_total", "lsd", "0.2-0.3"): 0.25,
    }


@pytest.mark.parametrize(("probability", "used"), [(0.0, True), (1.0, False), (0.0, False), (1.0, True)])
def test_answers_that_were_certain_have_finite_scores(probability, used):
    tokens = PredictionIdSigner(new_key(), "drug_consumption:one", np.full((18, 6), 0.5))
    (token,) = tokens.sign(np.full((1, 18, 6), probability), [select("day", frozenset(["crack"]))])
    record(tokens.verify(token), {"crack": used}, {"crack": 0.5})
    of = counted()
    wrong = used != bool(probability)
    log_loss = of["drugpred_log_loss_total", "crack", "day"]
    assert log_loss == pytest.approx(math.log(2**17) if wrong else 2**-17, rel=1e-3)
    assert of["drugpred_brier_total", "crack", "day"] == pytest.approx(float(wrong), abs=1e-4)


def test_all_series_begin_at_nothing():
    assert counted() == {}
    outcome_metrics.prepare()
    assert set(counted().values()) == {0}
    assert {labels[0] for _, *labels in counted()} == set(DRUGS)
