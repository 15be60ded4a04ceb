"""Measures of a fold, against scikit-learn's and imbalanced-learn's and by hand."""

import numpy as np
import pytest
from imblearn.metrics import sensitivity_score, specificity_score
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    roc_auc_score,
)

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.training.classification_metrics import (
    METRICS,
    base_rates,
    calibration_error,
    measure,
    ranked_probability_scores,
)

CANNABIS, HEROIN = DRUGS.index("cannabis"), DRUGS.index("heroin")
DECADE, YEAR = WINDOWS.index("decade"), WINDOWS.index("year")


@pytest.fixture
def last_use():
    return np.random.default_rng(0).integers(0, 7, size=(200, 18))


def test_base_rates_count_the_users(real):
    shares = base_rates(real.last_use)
    assert shares.shape == (18, 6)
    assert shares[CANNABIS, DECADE] == 1265 / 1885
    assert shares[HEROIN, YEAR] == 118 / 1885


@pytest.mark.parametrize("decimals", [1, 16], ids=["ties", "no ties"])
def test_measures_are_those_of_the_libraries_to_the_last_bit(last_use, decimals):
    # Certainty is among them, and it is wrong of some.
    probabilities = np.random.default_rng(1).uniform(size=(200, 18, 6)).round(decimals)
    figures = measure(probabilities, last_use, np.full((18, 6), 0.6))
    assert tuple(figures) == METRICS
    for at in [(i, k % 6) for i in range(18) for k in (i, i + 3)]:
        y, p = last_use[:, at[0]] > at[1], probabilities[:, *at]
        assert figures["auc"][at] == roc_auc_score(y, p)
        assert figures["average_precision"][at] == average_precision_score(y, p)
        assert figures["sensitivity"][at] == sensitivity_score(y, p >= 0.6)
        assert figures["specificity"][at] == specificity_score(y, p >= 0.6)
        assert figures["balanced_accuracy"][at] == balanced_accuracy_score(y, p >= 0.6)
        assert figures["log_loss"][at] == log_loss(y, p)
        assert figures["brier"][at] == brier_score_loss(y, p)


def test_measures_agree_with_computations_by_hand(last_use):
    # One decimal: many ties, and many probabilities that are the threshold itself.
    probabilities = np.random.default_rng(1).uniform(0.1, 0.9, size=(200, 18, 6)).round(1)
    threshold = np.full((18, 6), 0.6)
    figures = measure(probabilities, last_use, threshold)
    for at in [(0, 0), (CANNABIS, DECADE), (17, 5)]:
        y, p = last_use[:, at[0]] > at[1], probabilities[:, *at]
        users, others = p[y][:, np.newaxis], p[~y][np.newaxis]
        assert figures["auc"][at] == pytest.approx(((users > others) + (users == others) / 2).mean())
        (tn, fp), (fn, tp) = confusion_matrix(y, p >= 0.6)
        assert figures["sensitivity"][at] == pytest.approx(tp / (tp + fn))
        assert figures["specificity"][at] == pytest.approx(tn / (tn + fp))
        assert figures["log_loss"][at] == pytest.approx(-np.log(np.where(y, p, 1 - p)).mean())
        assert figures["brier"][at] == pytest.approx(((p - y) ** 2).mean())


def test_every_outcome_has_its_own_threshold(last_use):
    threshold = np.full((18, 6), 0.5)
    threshold[HEROIN, YEAR] = 0.50001
    figures = measure(np.full((200, 18, 6), 0.5), last_use, threshold)
    assert (figures["sensitivity"][HEROIN, YEAR], figures["specificity"][HEROIN, YEAR]) == (0, 1)
    assert (figures["sensitivity"][CANNABIS, YEAR], figures["specificity"][CANNABIS, YEAR]) == (1, 0)


def test_figures_that_cannot_be_measured_are_nan(last_use):
    last_use[:, 0], last_use[:, 1] = 0, 6
    figures = measure(np.full((200, 18, 6), 0.5), last_use, np.full((18, 6), 0.5))
    for values in figures.values():
        assert np.isnan(values[:2]).all()
        assert np.isfinite(values[2:]).all()


def test_a_model_may_say_nothing_of_a_window(last_use):
    probabilities = np.full((200, 18, 6), 0.5)
    probabilities[:, :, YEAR] = np.nan
    for values in measure(probabilities, last_use, np.full((18, 6), 0.5)).values():
        assert np.isnan(values[:, YEAR]).all()
        assert np.isfinite(np.delete(values, YEAR, axis=1)).all()


def test_nothing_can_be_measured_if_all_people_are_alike():
    figures = measure(np.full((5, 18, 6), 0.5), np.zeros((5, 18), int), np.full((18, 6), 0.5))
    assert all(np.isnan(values).all() for values in figures.values())


def test_ranked_probability_score_by_hand():
    last_use = np.zeros((2, 18), int)
    last_use[1] = 3  # ever, decade and year
    probabilities = np.tile([0.9, 0.5, 0.5, 0.1, 0.0, 0.0], (2, 18, 1))
    scores = ranked_probability_scores(probabilities, last_use)
    assert scores.shape == (2, 18)
    assert scores[0] == pytest.approx([0.81 + 0.25 + 0.25 + 0.01] * 18)
    assert scores[1] == pytest.approx([0.01 + 0.25 + 0.25 + 0.01] * 18)
    assert ranked_probability_scores(np.stack([probabilities] * 3), last_use).shape == (3, 2, 18)


def test_calibration_error_with_and_without_calibration():
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0.2, 0.8, 100_000)
    truth = rng.random(100_000) < probabilities
    assert calibration_error(truth, probabilities) < 0.006
    assert calibration_error(truth, probabilities + 0.1) == pytest.approx(0.1, abs=0.006)
    assert calibration_error(truth, probabilities - 0.1) == pytest.approx(0.1, abs=0.006)
    # The right mean does not hide exaggeration.
    assert calibration_error(truth, 0.5 + 1.6 * (probabilities - 0.5)) > 0.08


def test_calibration_error_of_few():
    assert calibration_error(np.array([True, False]), np.array([0.75, 0.25])) == pytest.approx(0.25)
