"""The population stability index and its threshold."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import chi2, fisher_exact

from drugpred import codebook
from drugpred.codebook import DRUGS, INPUTS
from drugpred.monitoring import drift
from drugpred.schemas import MIN_DRIFT_PROFILES

LEVEL = 0.01 / 30

COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=10)


@given(st.integers(2, 10).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 10**6), min_size=n, max_size=n)] * 2)))
def test_the_index_is_the_symmetric_divergence_of_the_shares(counts):
    """J. Lin's J-divergence by scipy, of counts with half a count more."""
    now, then = (np.array(each) + 0.5 for each in counts)
    now, then = now / now.sum(), then / then.sum()
    expected = rel_entr(now, then).sum() + rel_entr(then, now).sum()
    assert drift.population_stability_index(*counts) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_index_of_large_counts_is_that_of_a_spreadsheet():
    now, then = [2e7, 3e7, 5e7], [5e7, 3e7, 2e7]
    assert drift.population_stability_index(now, then) == pytest.approx(2 * 0.3 * np.log(2.5), rel=1e-6)


@given(COUNTS)
def test_equal_counts_have_not_moved(counts):
    assert drift.population_stability_index(counts, counts) == 0


@pytest.mark.parametrize("bins", range(2, 60))
def test_quantiles_are_those_of_chi_squared(bins):
    assert drift.quantile(bins) == pytest.approx(chi2.isf(LEVEL, bins - 1), rel=1e-9)


@pytest.mark.parametrize("n", [MIN_DRIFT_PROFILES, 500, 20_000])
@pytest.mark.parametrize(
    "shares",
    [*(np.array(category.counts) / 1885 for category in codebook.CATEGORIES), np.full(10, 0.1)],
    ids=[*(category.name for category in codebook.CATEGORIES), "tenths"],
)
def test_false_alarms_are_as_rare_as_promised(shares, n):
    """In samples of the study's own shares, few of which are in some bins; at .01, where they can be counted."""
    rng = np.random.default_rng(1)
    m, looks = 1885, 2000
    now, then = rng.multinomial(n, shares, looks), rng.multinomial(m, shares, looks)
    found = np.array([drift.population_stability_index(*pair) for pair in zip(now, then, strict=True)]) / (
        1 / n + 1 / m
    )
    assert (found > chi2.isf(0.01, len(shares) - 1)).mean() < 0.01 + 3.5 * np.sqrt(0.01 * 0.99 / looks)
    assert (found > drift.quantile(len(shares))).sum() <= 5  # .7 are expected


@given(st.integers(100, 5000), st.integers(0, 60), st.integers(200, 3000))
def test_a_value_of_no_respondent_is_new_by_fishers_exact_test(n, count, respondents):
    p = fisher_exact([[count, n - count], [0, respondents]], alternative="greater").pvalue
    assert drift.is_new(count, n, respondents) == (p < LEVEL)


def test_of_few_people_nothing_is_new():
    assert not drift.is_new(99, 99, 1885)
    assert drift.is_new(100, 100, 1885)
    assert not drift.is_new(0, 10**6, 1885)


def counts_of(bins, n):
    return {name: [n * share for share in each.shares] for name, each in bins.items()}


def test_profiles_like_the_respondents_are_no_drift(stored_model):
    card = stored_model.card
    found = drift.measure(card, counts_of(card.input_bins, 1000), counts_of(card.probability_bins, 1000))
    assert found.drifted is False
    assert list(found.inputs) == list(INPUTS)
    assert list(found.scores) == list(DRUGS)
    for shift in (*found.inputs.values(), *found.scores.values()):
        assert shift.n == 1000
        assert shift.psi < 1e-4
        assert shift.drifted is False
    bins = len(card.input_bins["age"].labels)
    assert found.inputs["age"].threshold == pytest.approx((1 / 1000 + 1 / 1885) * chi2.isf(LEVEL, bins - 1))


def test_of_ever_so_many_profiles_a_small_index_of_scores_is_no_drift(stored_model):
    card = stored_model.card
    for n, size in ((200, 0.05), (10**6, 0.05)):
        scores = counts_of(card.probability_bins, n)
        found = drift.measure(card, counts_of(card.input_bins, n), scores).scores["cannabis"]
        bins = len(card.probability_bins["cannabis"].labels)
        assert found.threshold == pytest.approx(max(size, (1 / n + 1 / 1885) * chi2.isf(LEVEL, bins - 1)))
        assert found.threshold >= size


def test_drift_is_reported(stored_model):
    card = stored_model.card
    inputs = counts_of(card.input_bins, 1000)
    inputs["country"] = [1000] + [0] * (len(inputs["country"]) - 1)
    found = drift.measure(card, inputs, counts_of(card.probability_bins, 1000))
    assert found.drifted is True
    assert [name for name, shift in (found.inputs | found.scores).items() if shift.drifted] == ["country"]


def test_few_profiles_have_no_drift(stored_model):
    card = stored_model.card
    for n in (0, MIN_DRIFT_PROFILES - 1):
        inputs = counts_of(card.input_bins, n) | {"gender": [n, 0]}
        found = drift.measure(card, inputs, counts_of(card.probability_bins, n))
        assert found.drifted is None
        assert {shift.drifted for shift in found.inputs.values()} == {None}
        assert (found.inputs["gender"].psi is None) == (n == 0)
        answer = json.loads(found.model_dump_json())  # without infinities, which JSON has not
        assert answer["inputs"]["gender"]["n"] == n
    enough = drift.measure(
        card, counts_of(card.input_bins, 100) | {"gender": [100, 0]}, counts_of(card.probability_bins, 100)
    )
    assert enough.inputs["gender"].drifted is True
