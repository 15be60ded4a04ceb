"""Cross-validation and its figures, against computations of their own."""

import csv

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.errors import DataError
from drugpred.training.estimators import cumulative_targets
from drugpred.training.evaluation import (
    Evaluation,
    base_rates,
    calibration_error,
    cross_validate,
    measure,
    reference_split,
    splits,
)

CANNABIS, HEROIN = DRUGS.index("cannabis"), DRUGS.index("heroin")
DECADE, YEAR = WINDOWS.index("decade"), WINDOWS.index("year")


class Constant(BaseEstimator):
    """Says the same of everybody."""

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.full((len(X), 18, 6), 0.5)


class Memory(Constant):
    """Knows the truth of whomever it has seen, and nothing of others."""

    def fit(self, X, y):
        self.seen_ = {row.tobytes(): truth for row, truth in zip(X, cumulative_targets(y), strict=True)}
        return self

    def predict_proba(self, X):
        return np.array([self.seen_.get(row.tobytes(), np.full((18, 6), 0.5)) for row in X], dtype=float)


class Recorder(Constant):
    """Notes the rows it is given."""

    trained, tested = [], []

    def fit(self, X, y):
        self.trained.append(X.copy())
        return self

    def predict_proba(self, X):
        self.tested.append(X.copy())
        return super().predict_proba(X)


@pytest.fixture(autouse=True)
def here():
    """Everything in this process: other processes could not import the estimators above."""
    with joblib.parallel_config("threading"):
        yield


@pytest.fixture
def invented():
    """Rows, all different, and classes of last use that have nothing to do with them."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 12)), rng.integers(0, 7, size=(200, 18))


def test_every_row_is_tested_once_a_repeat(real):
    folds = splits(real.last_use, 5, 3, 42)
    assert len(folds) == 15
    for repeat in range(3):
        tested = np.concatenate([test for _, test in folds[5 * repeat : 5 * repeat + 5]])
        assert np.array_equal(np.sort(tested), np.arange(1885))
    assert all(np.array_equal(np.union1d(train, test), np.arange(1885)) for train, test in folds)
    assert all(len(train) + len(test) == 1885 for train, test in folds)


def test_folds_are_alike_in_how_many_drugs_were_used(real):
    used = (real.last_use > DECADE).sum(axis=1)
    means = [used[test].mean() for _, test in splits(real.last_use, 5, 3, 42)]
    # Drawn without strata, the means of 377 rows would differ by about .6.
    assert np.ptp(means) < 0.15


def test_every_fold_has_users_and_non_users_of_every_drug(real):
    for _, test in splits(real.last_use, 5, 3, 42):
        shares = base_rates(real.last_use[test])[:, DECADE]
        assert ((shares > 0) & (shares < 1)).all()


def test_the_seed_decides_the_folds(real):
    def tests(seed):
        return [test.tolist() for _, test in splits(real.last_use, 5, 2, seed)]

    assert tests(1) == tests(1)
    assert tests(1) != tests(2)
    assert tests(1)[:5] != tests(1)[5:]


@pytest.mark.parametrize("n", [1, 4, 9])
def test_too_few_respondents_are_refused_in_words(invented, n):
    with pytest.raises(DataError, match="5 folds"):
        splits(invented[1][:n], 5, 1, 42)


def test_base_rates_count_the_users(real):
    shares = base_rates(real.last_use)
    assert shares.shape == (18, 6)
    assert shares[CANNABIS, DECADE] == 1265 / 1885
    assert shares[HEROIN, YEAR] == 118 / 1885


def test_measures_agree_with_computations_by_hand(invented):
    _, last_use = invented
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


def test_what_cannot_be_measured_is_nan(invented):
    _, last_use = invented
    last_use[:, 0], last_use[:, 1] = 0, 6
    figures = measure(np.full((200, 18, 6), 0.5), last_use, np.full((18, 6), 0.5))
    for values in figures.values():
        assert np.isnan(values[:2]).all()
        assert np.isfinite(values[2:]).all()


def test_calibration_error_of_what_is_calibrated_and_of_what_is_not():
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


def test_cross_validation_judges_nobody_by_a_model_that_has_seen_them(invented):
    X, last_use = invented
    estimator, folds = Memory(), splits(last_use, 2, 2, 42)
    evaluation = cross_validate(estimator, X, last_use, folds)
    assert evaluation.probabilities.shape == (2, 200, 18, 6)
    assert (evaluation.probabilities == 0.5).all()
    assert not hasattr(estimator, "seen_")
    assert np.array_equal(Memory().fit(X, last_use).predict_proba(X), cumulative_targets(last_use))
    # The figures are those of each fold, by the thresholds of its training rows.
    assert {values.shape for values in evaluation.folds.values()} == {(4, 18, 6)}
    train, test = folds[3]
    for name, values in measure(np.full((100, 18, 6), 0.5), last_use[test], base_rates(last_use[train])).items():
        assert np.array_equal(evaluation.folds[name][3], values)


def test_thresholds_come_from_training_rows(invented):
    X, _ = invented
    last_use = np.zeros((200, 18), int)
    # A quarter of the first hundred are users and three quarters of the others, so that the base rate of either half
    # makes one half say "user" of everybody with probability .5 and the other of nobody.
    last_use[:25] = last_use[100:175] = 6
    first, second = np.arange(100), np.arange(100, 200)
    folds = cross_validate(Constant(), X, last_use, [(first, second), (second, first)]).folds
    assert (folds["sensitivity"][0] == 1).all()
    assert (folds["specificity"][0] == 0).all()
    assert (folds["sensitivity"][1] == 0).all()
    assert (folds["specificity"][1] == 1).all()


def test_headline_figures_by_hand():
    # Every second respondent used every drug within the year, and .4 is said of everybody.
    last_use = np.tile([[0], [3]], (10, 18))
    folds = {name: np.full((2, 18, 6), value) for name, value in (("auc", 0.7), ("log_loss", 0.5), ("brier", 0.2))}
    folds |= {"sensitivity": np.full((2, 18, 6), 0.8), "specificity": np.full((2, 18, 6), 0.6)}
    folds["auc"][:, CANNABIS, DECADE] = 0.9, 0.8
    folds["auc"][:, [DRUGS.index(drug) for drug in ("alcohol", "caffeine", "chocolate")]] = 0.1
    folds["auc"][:, HEROIN, YEAR] = 1.0, np.nan
    folds["log_loss"][:, CANNABIS, DECADE] = 0.3, 0.5
    folds["sensitivity"][0, CANNABIS, DECADE] = 1.0
    assert Evaluation(last_use, np.full((2, 20, 18, 6), 0.4), folds).overall() == pytest.approx(
        {
            "cannabis_decade_auc": 0.85,
            "cannabis_decade_sens_spec": 90 + 60,
            "cannabis_decade_log_loss": 0.4,
            "decade_log_loss": (17 * 0.5 + 0.4) / 18,
            "decade_auc15": (14 * 0.7 + 0.85) / 15,
            "decade_sens_spec": (17 * 140 + 150) / 18,
            "decade_calibration_error": 0.1,
            "year_log_loss": 0.5,
            "year_auc15": (14 * 0.7 + 1.0) / 15,
            "ranked_probability_score": 3 * (0.36 + 0.16) / 2 + 3 * 0.16,
        }
    )


def test_headline_figures_are_numbers_though_a_drug_has_no_users():
    last_use = np.tile([[0], [3]], (10, 18))
    last_use[:, HEROIN] = 0
    names = ("auc", "sensitivity", "specificity", "log_loss", "brier")
    folds = {name: np.full((2, 18, 6), 0.5) for name in names}
    for values in folds.values():
        values[:, HEROIN] = np.nan
    overall = Evaluation(last_use, np.full((1, 20, 18, 6), 0.5), folds).overall()
    assert len(overall) == 10
    assert np.isfinite(list(overall.values())).all()
    for values in folds.values():
        values[:] = np.nan
    nothing = Evaluation(last_use, np.full((1, 20, 18, 6), 0.5), folds).overall()
    assert set(nothing) == {"decade_calibration_error", "ranked_probability_score"}


def test_the_reference_split_is_the_one_of_the_decoded_csv(real, decoded_path, monkeypatch):
    monkeypatch.setattr(Recorder, "trained", [])
    monkeypatch.setattr(Recorder, "tested", [])
    ids = real.frame.index.to_numpy()
    figures = reference_split(Recorder(), ids[:, np.newaxis], real.last_use, ids)
    with decoded_path.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    users = [record["Cannabis"] >= "CL2" for record in records]
    train, test = train_test_split(records, test_size=0.2, random_state=42, stratify=users)
    assert [int(record["ID"]) for record in train] == np.concatenate(Recorder.trained).ravel().tolist()
    assert [int(record["ID"]) for record in test] == np.concatenate(Recorder.tested).ravel().tolist()
    assert len(test) == 377
    share = np.mean([record["Cannabis"] >= "CL2" for record in test])
    assert figures == {"accuracy": pytest.approx(share), "auc": 0.5}
