"""Counts by the bins of a card."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugpred.codebook import DRUGS
from drugpred.model_store import Bins
from drugpred.monitoring.binning import Binning

SCORE = Bins(labels=("<=-1", "<=0", "<=2.5", ">2.5"), edges=(-1.0, 0.0, 2.5), shares=(0.25,) * 4)
CATEGORY = Bins(labels=("a", "b"), shares=(0.5, 0.5))


def test_values_on_an_edge_are_of_the_bin_below():
    binning = Binning({"score": SCORE})
    counts = binning.count(np.array([[-5, -1, -0.999, 0, 0.001, 2.5, 2.501, 9.0]]))
    assert binning.by_name(counts) == {"score": [2, 2, 2, 2]}


@given(
    st.lists(
        st.tuples(st.floats(-4, 4) | st.sampled_from(SCORE.edges), st.sampled_from([0.0, 1.0])), min_size=1, max_size=50
    )
)
def test_counts_are_those_of_a_search_for_each_value(people):
    scores, codes = np.array(people).T
    binning = Binning({"score": SCORE, "category": CATEGORY})
    assert binning.series == [("score", label) for label in SCORE.labels] + [("category", "a"), ("category", "b")]
    found = binning.by_name(binning.count(np.stack([scores, codes])))
    assert found["score"] == np.bincount(np.searchsorted(SCORE.edges, scores), minlength=4).tolist()
    assert found["category"] == np.bincount(codes.astype(int), minlength=2).tolist()


def test_the_respondents_trained_on_have_the_shares_of_the_card(stored_model, real):
    binning = Binning(stored_model.card.input_bins)
    counts = binning.by_name(binning.count(real.X.T))
    for name, bins in stored_model.card.input_bins.items():
        assert np.array(counts[name]) / len(real) == pytest.approx(bins.shares)


def test_single_precision_moves_nobody_to_another_bin(stored_model, real):
    binning = Binning(stored_model.card.input_bins)
    single = real.X.T.astype(np.float32).astype(np.float64)
    assert np.array_equal(binning.count(single), binning.count(real.X.T))


def test_every_probability_has_a_bin(stored_model, real):
    binning = Binning(stored_model.card.probability_bins)
    counts = binning.by_name(binning.count(stored_model.predictor.predict_proba(real.X)[:, :, 1].T))
    assert {drug: sum(each) for drug, each in counts.items()} == dict.fromkeys(DRUGS, len(real))
