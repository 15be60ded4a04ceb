"""Figures of a group: the intervals of the textbooks, and right as often as they claim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, ttest_1samp
from sklearn.metrics import roc_auc_score

from drugpred.training import confidence


@given(n=st.integers(1, 3000), share=st.floats(0, 1))
def test_wilsons_interval_is_scipys(n, share):
    hits = round(share * n)
    low, high = confidence.wilson_interval(hits / n, n)
    theirs = binomtest(hits, n).proportion_ci(method="wilson")
    assert (float(low), float(high)) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilsons_interval_takes_many_shares_at_once():
    low, high = confidence.wilson_interval([0.0, 0.5, 1.0], [10, 20, 30])
    assert low.shape == high.shape == (3,)
    assert (low[0], high[2]) == pytest.approx((0.0, 1.0))


def test_repeats_are_averaged_and_do_not_count_as_more_respondents():
    rng = np.random.default_rng(0)
    once, truth = rng.random((1, 60)), rng.random(60) < 0.4
    thrice = np.repeat(once, 3, axis=0)
    assert confidence.share(thrice > 0.5) == pytest.approx(confidence.share(once > 0.5))
    assert confidence.auc(truth, thrice) == pytest.approx(confidence.auc(truth, once))
    assert confidence.share(np.array([[True, False], [True, True]])).value == 0.75


def test_the_mean_has_students_interval():
    values = np.random.default_rng(1).normal(0.3, 1.0, 25)
    found, theirs = confidence.mean(values), ttest_1samp(values, 0).confidence_interval()
    assert found == pytest.approx((values.mean(), theirs.low, theirs.high))


def test_the_auc_is_the_mean_of_the_repeats_with_ties_as_halves():
    rng = np.random.default_rng(2)
    truth, probabilities = rng.random(200) < 0.3, rng.random((3, 200)).round(1)
    expected = np.mean([roc_auc_score(truth, repeat) for repeat in probabilities])
    assert confidence.auc(truth, probabilities).value == pytest.approx(expected)


def test_the_aucs_interval_covers_the_truth_about_as_often_as_it_claims():
    rng = np.random.default_rng(3)
    truth = np.repeat([True, False], [20, 40])
    auc = norm.cdf(1.5 / np.sqrt(2))
    found = [confidence.auc(truth, rng.normal(1.5 * truth, 1.0)[np.newaxis]) for _ in range(1000)]
    covered = np.mean([low <= auc <= high for _, low, high in found])
    assert 0.93 < covered < 0.975
    assert all(0 < low < value < high < 1 for value, low, high in found)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_ranking_of_few_is_not_said_to_be_certain(sign):
    truth = np.repeat([True, False], [10, 30])
    value, low, high = confidence.auc(truth, sign * truth[np.newaxis].astype(float))
    assert value == (sign + 1) / 2
    assert high - low > 0.2
    assert low - 1e-9 <= value <= high + 1e-9


def test_half_widths_by_hand():
    values = np.array([[0.8, 1.0], [0.9, 1.0], [0.85, 1.0]])
    # s^2 = .0025, t(2) = 4.302653
    expected = 4.302653 * np.sqrt((1 / 3 + 0.25) * 0.0025)
    assert confidence.corrected_half_widths(values, 0.25) == pytest.approx([expected, 0.0])


def test_the_correction_widens_and_confidence_too():
    values = np.random.default_rng(0).normal(size=15)
    plain = confidence.corrected_half_widths(values, 0.0)
    assert plain == pytest.approx(2.144787 * values.std(ddof=1) / np.sqrt(15))
    assert confidence.corrected_half_widths(values, 0.25) / plain == pytest.approx(np.sqrt((1 / 15 + 1 / 4) * 15))
    assert (
        confidence.corrected_half_widths(values, 0.0, confidence=0.9)
        < plain
        < confidence.corrected_half_widths(values, 0.0, confidence=0.99)
    )


def test_folds_that_were_not_measured_do_not_count():
    values = np.random.default_rng(0).normal(size=(6, 4, 2))
    values[1, 0, 0] = np.nan
    values[1:, 0, 1] = np.nan
    values[:, 1, 0] = np.nan
    half = confidence.corrected_half_widths(values, 0.25)
    assert half[0, 0] == confidence.corrected_half_widths(np.delete(values[:, 0, 0], 1), 0.25)
    assert np.isnan([half[0, 1], half[1, 0]]).all()
    assert np.isfinite(half[2:]).all()


def test_an_interval_holds_the_truth_as_often_as_it_says():
    # Figures of five folds correlate by the share of rows that a fold tests, as the correction assumes.
    rng, share = np.random.default_rng(0), 0.2
    common, own = rng.normal(size=4000), rng.normal(size=(15, 4000))
    values = np.sqrt(share) * common + np.sqrt(1 - share) * own
    for level in (0.8, 0.95):
        hits = np.abs(values.mean(axis=0)) <= confidence.corrected_half_widths(values, share / (1 - share), level)
        assert hits.mean() == pytest.approx(level, abs=0.03)
    assert (np.abs(values.mean(axis=0)) <= confidence.corrected_half_widths(values, 0.0)).mean() < 0.7
