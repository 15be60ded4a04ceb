"""What plots show: curves, shares and axes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from drugpred.training import plots


@pytest.fixture(scope="module")
def said():
    """Return the truth and calibrated probabilities of two repeats."""
    rng = np.random.default_rng(0)
    probabilities = rng.beta(1, 2, 2000)
    truth = rng.random(2000) < probabilities
    return truth, np.clip([probabilities, probabilities + rng.normal(0, 0.02, 2000)], 0, 1)


def test_the_roc_curve_has_the_auc_and_passes_through_the_threshold(said):
    truth, probabilities = said
    curve = plots.roc(truth, probabilities, probabilities >= 0.3)
    area = np.trapezoid(curve.true_positive_rates, curve.false_positive_rates)
    assert area == pytest.approx(np.mean([roc_auc_score(truth, repeat) for repeat in probabilities]), abs=0.005)
    assert curve.true_positive_rates[-1] == 1.0
    at = np.interp(curve.false_positive_rate.value, curve.false_positive_rates, curve.true_positive_rates)
    assert curve.true_positive_rate.value == pytest.approx(at, abs=0.01)
    assert len(curve.true_positive_rates) < 100  # too few to reveal anybody's probability


def test_the_precision_recall_curve_has_the_average_precision_and_passes_through_the_threshold(said):
    truth, probabilities = said
    predicted = probabilities >= 0.3
    curve = plots.precision_recall(truth, probabilities, predicted)
    expected = np.mean([average_precision_score(truth, repeat) for repeat in probabilities])
    first, last = curve.recalls[[0, -1]]
    area = np.trapezoid(curve.precisions, curve.recalls) / (last - first)
    assert area == pytest.approx(expected, abs=0.03)
    assert curve.recall == pytest.approx(predicted[:, truth].mean())
    assert curve.precision == pytest.approx((predicted & truth).sum() / predicted.sum())
    assert np.interp(curve.recall, curve.recalls, curve.precisions) == pytest.approx(curve.precision, abs=0.03)


def test_reliability_has_the_share_of_users_in_each_tenth(said):
    truth, probabilities = said
    found = plots.reliability(truth, probabilities)
    assert found.share.mean() == pytest.approx(truth.mean())
    assert found.predicted.mean() == pytest.approx(probabilities.mean())
    assert (np.diff(found.predicted) > 0).all()
    lowest = [truth[np.argsort(repeat, kind="stable")[:200]].mean() for repeat in probabilities]
    assert found.share[0] == pytest.approx(np.mean(lowest))
    assert ((found.low < found.share) & (found.share < found.high)).all()
    within = (found.low <= found.predicted) & (found.predicted <= found.high)
    assert within.sum() >= 8  # they are calibrated


def test_recency_has_the_shares_of_the_seven_classes():
    last_use = np.repeat(np.arange(7), [40, 10, 10, 10, 10, 10, 10])
    probabilities = np.broadcast_to([0.5, 0.4, 0.3, 0.2, 0.1, 0.05], (3, 100, 6))
    found = plots.recency(last_use, probabilities)
    assert found.share == pytest.approx([0.4, *[0.1] * 6])
    assert found.predicted == pytest.approx([0.5, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])
    assert len(list(found.rows())) == 7


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_axes_are_round_and_hold_all_values(values):
    low, high = plots.axis_range(values)
    assert 0 <= low < high
    assert low <= min(values) + 1e-6
    assert high >= max(values) - 1e-6
    assert 50 * low == pytest.approx(round(50 * low))
    assert high - low < max(values) - min(values) + 0.5


def test_data_are_mapped_to_the_drawing():
    axes = plots.Axes((0.0, 2.0), (0.0, 1.0), left=10, right=110, top=5, bottom=55)
    assert axes.line([0, 1, 2], [0, 0.5, 1]) == "10,55 60,30 110,5"
    rows = plots.Axes((0.0, 1.0), (7, 0), top=0, bottom=70)
    assert [rows.down(i) for i in (0, 3.5, 7)] == [0, 35, 70]
