"""Figures of a group: the intervals of the textbooks, and right as often as they claim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, ttest_1samp
from sklearn.metrics import roc_auc_score

from drugpred.training import estimates


@given(n=st.integers(1, 3000), share=st.floats(0, 1))
def test_wilsons_interval_is_scipys(n, share):
    hits = round(share * n)
    low, high = estimates.wilson(hits / n, n)
    theirs = binomtest(hits, n).proportion_ci(method="wilson")
    assert (float(low), float(high)) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilsons_interval_takes_many_shares_at_once():
    low, high = estimates.wilson([0.0, 0.5, 1.0], [10, 20, 30])
    assert low.shape == high.shape == (3,)
    assert (low[0], high[2]) == pytest.approx((0.0, 1.0))


def test_repeats_are_averaged_and_do_not_count_as_more_respondents():
    rng = np.random.default_rng(0)
    once, truth = rng.random((1, 60)), rng.random(60) < 0.4
    thrice = np.repeat(once, 3, axis=0)
    assert estimates.share(thrice > 0.5) == pytest.approx(estimates.share(once > 0.5))
    assert estimates.auc(truth, thrice) == pytest.approx(estimates.auc(truth, once))
    assert estimates.share(np.array([[True, False], [True, True]])).value == 0.75


def test_the_mean_has_students_interval():
    values = np.random.default_rng(1).normal(0.3, 1.0, 25)
    found, theirs = estimates.mean(values), ttest_1samp(values, 0).confidence_interval()
    assert found == pytest.approx((values.mean(), theirs.low, theirs.high))


def test_the_auc_is_the_mean_of_the_repeats_with_ties_as_halves():
    rng = np.random.default_rng(2)
    truth, probabilities = rng.random(200) < 0.3, rng.random((3, 200)).round(1)
    expected = np.mean([roc_auc_score(truth, repeat) for repeat in probabilities])
    assert estimates.auc(truth, probabilities).value == pytest.approx(expected)


def test_the_aucs_interval_covers_the_truth_about_as_often_as_it_claims():
    rng = np.random.default_rng(3)
    truth = np.repeat([True, False], [20, 40])
    auc = norm.cdf(1.5 / np.sqrt(2))
    found = [estimates.auc(truth, rng.normal(1.5 * truth, 1.0)[np.newaxis]) for _ in range(1000)]
    covered = np.mean([low <= auc <= high for _, low, high in found])
    assert 0.93 < covered < 0.975
    assert all(0 < low < value < high < 1 for value, low, high in found)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_ranking_of_few_is_not_said_to_be_certain(sign):
    truth = np.repeat([True, False], [10, 30])
    value, low, high = estimates.auc(truth, sign * truth[np.newaxis].astype(float))
    assert value == (sign + 1) / 2
    assert high - low > 0.2
    assert low - 1e-9 <= value <= high + 1e-9
