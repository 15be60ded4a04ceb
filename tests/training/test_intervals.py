"""Corrected intervals of figures over folds."""

import numpy as np
import pytest

from drugpred.training.intervals import half_widths


def test_half_widths_by_hand():
    values = np.array([[0.8, 1.0], [0.9, 1.0], [0.85, 1.0]])
    # s^2 = .0025, t(2) = 4.302653
    expected = 4.302653 * np.sqrt((1 / 3 + 0.25) * 0.0025)
    assert half_widths(values, 0.25) == pytest.approx([expected, 0.0])


def test_the_correction_widens_and_confidence_too():
    values = np.random.default_rng(0).normal(size=15)
    plain = half_widths(values, 0.0)
    assert plain == pytest.approx(2.144787 * values.std(ddof=1) / np.sqrt(15))
    assert half_widths(values, 0.25) / plain == pytest.approx(np.sqrt((1 / 15 + 1 / 4) * 15))
    assert half_widths(values, 0.0, confidence=0.9) < plain < half_widths(values, 0.0, confidence=0.99)


def test_folds_that_were_not_measured_do_not_count():
    values = np.random.default_rng(0).normal(size=(6, 4, 2))
    values[1, 0, 0] = np.nan
    values[1:, 0, 1] = np.nan
    values[:, 1, 0] = np.nan
    half = half_widths(values, 0.25)
    assert half[0, 0] == half_widths(np.delete(values[:, 0, 0], 1), 0.25)
    assert np.isnan([half[0, 1], half[1, 0]]).all()
    assert np.isfinite(half[2:]).all()


def test_an_interval_holds_the_truth_as_often_as_it_says():
    # Figures of five folds correlate by the share of rows that a fold tests, as the correction assumes.
    rng, share = np.random.default_rng(0), 0.2
    common, own = rng.normal(size=4000), rng.normal(size=(15, 4000))
    values = np.sqrt(share) * common + np.sqrt(1 - share) * own
    for confidence in (0.8, 0.95):
        hits = np.abs(values.mean(axis=0)) <= half_widths(values, share / (1 - share), confidence)
        assert hits.mean() == pytest.approx(confidence, abs=0.03)
    assert (np.abs(values.mean(axis=0)) <= half_widths(values, 0.0)).mean() < 0.7
