"""Cross-validation and its figures, against computations of their own."""

import csv

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.errors import DataError
from drugpred.training import cache
from drugpred.training.classification_metrics import METRICS, base_rates, calibration_error, measure
from drugpred.training.confidence import corrected_half_widths
from drugpred.training.estimators import cumulative_targets
from drugpred.training.evaluation import Evaluation, cross_validate, make_folds, reference_split

CANNABIS, HEROIN = DRUGS.index("cannabis"), DRUGS.index("heroin")
DECADE, YEAR = WINDOWS.index("decade"), WINDOWS.index("year")


class Constant(BaseEstimator):
    """Predicts the same for everybody."""

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.full((len(X), 18, 6), 0.5)


class Memory(Constant):
    """Predicts the truth for the people that it was fitted to, and .5 for others."""

    def fit(self, X, y):
        self.seen_ = {row.tobytes(): truth for row, truth in zip(X, cumulative_targets(y), strict=True)}
        return self

    def predict_proba(self, X):
        return np.array([self.seen_.get(row.tobytes(), np.full((18, 6), 0.5)) for row in X], dtype=float)


class Noise(Constant):
    """Predicts something else for everybody, and is scaled by a parameter."""

    fits = 0
    fails_at = None

    def __init__(self, scale=0.3):
        self.scale = scale

    def fit(self, X, y):
        type(self).fits += 1
        if self.fits == self.fails_at:
            raise KeyboardInterrupt
        self.offset_ = len(X)
        return self

    def predict_proba(self, X):
        noise = np.random.default_rng(int(abs(X).sum() * 1e6) + self.offset_).random((len(X), 18, 6))
        return 0.5 + self.scale * (noise - 0.5)


class Recorder(Constant):
    """Notes the rows it is given."""

    trained, tested = [], []

    def fit(self, X, y):
        self.trained.append(X.copy())
        return self

    def predict_proba(self, X):
        self.tested.append(X.copy())
        return super().predict_proba(X)


@pytest.fixture(scope="module", autouse=True)
def here():
    """Everything in this process: other processes could not import the estimators above."""
    with joblib.parallel_config("sequential"):
        yield


@pytest.fixture(scope="module")
def invented():
    """Rows, all different, and classes of last use that have nothing to do with them."""
    rng = np.random.default_rng(0)
    X, last_use = rng.normal(size=(200, 12)), rng.integers(0, 7, size=(200, 18))
    X.flags.writeable = last_use.flags.writeable = False
    return X, last_use


def test_every_row_is_tested_once_a_repeat(real):
    folds = make_folds(real.last_use, 5, 3, 42)
    assert len(folds) == 15
    for repeat in range(3):
        tested = np.concatenate([test for _, test in folds[5 * repeat : 5 * repeat + 5]])
        assert np.array_equal(np.sort(tested), np.arange(1885))
    assert all(np.array_equal(np.union1d(train, test), np.arange(1885)) for train, test in folds)
    assert all(len(train) + len(test) == 1885 for train, test in folds)


def test_folds_are_alike_in_how_many_drugs_were_used(real):
    used = (real.last_use > DECADE).sum(axis=1)
    means = [used[test].mean() for _, test in make_folds(real.last_use, 5, 3, 42)]
    # Drawn without strata, the means of 377 rows would differ by about .6.
    assert np.ptp(means) < 0.15


def test_every_fold_has_users_and_non_users_of_every_drug(real):
    for _, test in make_folds(real.last_use, 5, 3, 42):
        shares = base_rates(real.last_use[test])[:, DECADE]
        assert ((shares > 0) & (shares < 1)).all()


def test_the_seed_decides_the_folds(real):
    def tests(seed):
        return [test.tolist() for _, test in make_folds(real.last_use, 5, 2, seed)]

    assert tests(1) == tests(1)
    assert tests(1) != tests(2)
    assert tests(1)[:5] != tests(1)[5:]


@pytest.mark.parametrize("n", [1, 4, 9])
def test_too_few_respondents_are_refused_in_words(invented, n):
    with pytest.raises(DataError, match="5 folds"):
        make_folds(invented[1][:n], 5, 1, 42)


def test_cross_validation_judges_nobody_by_a_model_that_has_seen_them(invented):
    X, last_use = invented
    estimator, folds = Memory(), make_folds(last_use, 2, 2, 42)
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


def test_a_threshold_may_be_given(invented):
    X, last_use = invented
    for threshold, sensitivity in ((0.5, 1), (0.51, 0)):
        folds = cross_validate(Constant(), X, last_use, make_folds(last_use, 2, 1, 42), threshold=threshold).folds
        assert (folds["sensitivity"] == sensitivity).all()
        assert (folds["specificity"] == 1 - sensitivity).all()


@pytest.fixture(scope="module")
def noisy(invented):
    """An evaluation of noise over 5 folds, 3 times."""
    X, last_use = invented
    return cross_validate(Noise(), X, last_use, make_folds(last_use, 5, 3, 42))


def test_which_fold_tested_whom_is_known(invented, noisy):
    folds = make_folds(invented[1], 5, 3, 42)
    for i, (_, test) in enumerate(folds):
        assert (noisy.tested[i // 5][test] == i % 5).all()
    assert noisy.test_to_train == 1 / 4


def test_intervals_are_about_the_figures(noisy):
    figures, intervals = noisy.figures(), noisy.intervals()
    assert set(figures) == set(intervals) == {*METRICS, "calibration_error"}
    for name, bounds in intervals.items():
        assert bounds.shape == (18, 6, 2)
        assert (bounds[:, :, 0] >= 0).all()
        middle = bounds.mean(axis=2)
        cut = (bounds[:, :, 0] == 0) | (bounds[:, :, 1] == 1)
        assert middle[~cut] == pytest.approx(figures[name][~cut])
        assert (np.diff(bounds) >= 0).all()
    assert (np.diff(intervals["auc"]) > 0).all()
    half = corrected_half_widths(noisy.folds["auc"], 1 / 4)
    assert intervals["auc"][CANNABIS, DECADE] == pytest.approx(
        figures["auc"][CANNABIS, DECADE] + np.array([-1, 1]) * half[CANNABIS, DECADE]
    )


def test_intervals_end_where_figures_do():
    last_use = np.tile([[0], [6]], (10, 18))
    tested = np.tile([0, 0, 1, 1], (2, 5))
    folds = {name: np.tile(np.reshape([0.0, 1.0] * 2, (4, 1, 1)), (1, 18, 6)) for name in METRICS}
    intervals = Evaluation(last_use, np.full((2, 20, 18, 6), 0.5), folds, tested).intervals()
    for name in set(METRICS) - {"log_loss"}:
        assert (intervals[name] == [0, 1]).all()
    assert (intervals["log_loss"][..., 0] == 0).all()
    assert (intervals["log_loss"][..., 1] > 1).all()


def test_the_calibration_error_by_fold_is_the_jackknife_of_that_of_all(noisy):
    at = (CANNABIS, DECADE)
    truth = noisy.last_use[:, CANNABIS] > DECADE
    by_fold = noisy.by_fold["calibration_error"][:, *at].reshape(3, 5)
    for values, repeat, tested in zip(by_fold, noisy.probabilities, noisy.tested, strict=True):
        whole = calibration_error(truth, repeat[:, *at])
        without = np.array([calibration_error(truth[tested != i], repeat[tested != i][:, *at]) for i in range(5)])
        assert values.mean() == pytest.approx(whole)
        # The fold without which the error is smallest has the largest part in it.
        assert values.argmax() == without.argmin()
        assert values.var(ddof=1) / 5 == pytest.approx(4 / 5 * ((without - without.mean()) ** 2).sum())
    # A fold alone has a fifth of the respondents in each bin, and would seem worse.
    alone = [
        calibration_error(truth[tested == i], repeat[tested == i][:, *at])
        for repeat, tested in zip(noisy.probabilities, noisy.tested, strict=True)
        for i in range(5)
    ]
    assert np.mean(alone) > by_fold.mean() + 0.02


def test_headline_figures_by_fold_have_the_headline_figures_as_means(noisy):
    overall, folds = noisy.overall(), noisy.overall_folds()
    assert set(folds) == set(overall)
    assert {values.shape for values in folds.values()} == {(15,)}
    assert {name: values.mean() for name, values in folds.items()} == pytest.approx(overall)
    assert folds["cannabis_decade_auc"] == pytest.approx(noisy.folds["auc"][:, CANNABIS, DECADE])
    first = noisy.tested[0] == 0
    errors = (noisy.probabilities[0] - cumulative_targets(noisy.last_use))[first] ** 2
    assert folds["ranked_probability_score"][0] == pytest.approx(errors.sum(axis=2).mean())


def test_intervals_of_headline_figures(noisy):
    overall, folds, intervals = noisy.overall(), noisy.overall_folds(), noisy.overall_intervals()
    assert set(intervals) == set(overall)
    for name, (low, high) in intervals.items():
        half = float(corrected_half_widths(folds[name], 1 / 4))
        assert (low, high) == pytest.approx((max(overall[name] - half, 0), overall[name] + half))


def test_ranked_probability_scores_by_drug(noisy):
    scores = noisy.ranked_probability_scores()
    assert tuple(scores) == DRUGS
    assert np.mean(list(scores.values())) == pytest.approx(noisy.overall()["ranked_probability_score"])
    errors = (noisy.probabilities[:, :, HEROIN] - cumulative_targets(noisy.last_use)[:, HEROIN]) ** 2
    assert scores["heroin"] == pytest.approx(errors.sum(axis=2).mean())


def test_a_single_test_has_no_intervals(noisy):
    single = Evaluation(noisy.last_use, noisy.probabilities, noisy.folds)
    assert single.figures().keys() == noisy.figures().keys()
    assert single.overall() == noisy.overall()
    assert all(np.isnan(bounds).all() for bounds in single.intervals().values())
    assert single.overall_intervals() == single.overall_folds() == {}


def test_figures_that_a_fold_lacks_have_no_folds(noisy):
    folds = {name: values.copy() for name, values in noisy.folds.items()}
    folds["auc"][3, :, YEAR] = np.nan
    lacking = Evaluation(noisy.last_use, noisy.probabilities, folds, noisy.tested)
    assert set(noisy.overall_folds()) - set(lacking.overall_folds()) == {"year_auc15"}
    assert "year_auc15" in lacking.overall()
    assert "year_auc15" not in lacking.overall_intervals()


def test_a_model_of_some_windows_has_the_figures_of_those(noisy, invented):
    class Some(Noise):
        def predict_proba(self, X):
            probabilities = super().predict_proba(X)
            probabilities[:, :, [k for k in range(6) if k not in {DECADE, YEAR}]] = np.nan
            return probabilities

    some = cross_validate(Some(), *invented, make_folds(invented[1], 5, 3, 42))
    without = set(noisy.overall()) - {"ranked_probability_score"}
    assert some.overall() == {name: value for name, value in noisy.overall().items() if name in without}
    assert set(some.overall_folds()) == set(some.overall_intervals()) == without


@pytest.fixture
def run(invented, tmp_path, monkeypatch):
    """Return a function that cross-validates noise, keeps finished folds, and counts the folds that were fitted."""
    X, last_use = invented
    folder = tmp_path / "deep" / "folds"

    def run(pipeline=None, X=X, last_use=last_use, folds=None, fails_at=None):
        monkeypatch.setattr(Noise, "fits", 0)
        monkeypatch.setattr(Noise, "fails_at", fails_at)
        folds = make_folds(last_use, 2, 2, 42) if folds is None else folds
        return cross_validate(pipeline or Noise(), X, last_use, folds, folder), Noise.fits

    run.folder = folder
    return run


def test_finished_folds_are_found_again(run):
    (first, fits), (second, fits_again) = run(), run()
    assert (fits, fits_again) == (4, 0)
    assert np.array_equal(first.probabilities, second.probabilities)
    assert first.overall() == second.overall()
    files = list(run.folder.iterdir())
    assert len(files) == 4
    assert all(np.load(path, allow_pickle=False).shape == (100, 18, 6) for path in files)


def test_an_interrupted_run_continues_where_it_ended(run):
    with pytest.raises(KeyboardInterrupt):
        run(fails_at=3)
    evaluation, fits = run()
    assert fits == 2
    assert np.isfinite(evaluation.probabilities).all()


def test_a_fold_with_other_inputs_has_another_file(run, invented, monkeypatch):
    X, last_use = invented
    run()
    assert run(Noise(0.2))[1] == 4
    other = X.copy()
    other[0, 0] += 1e-9
    assert run(X=other)[1] == 4
    changed = last_use.copy()
    changed[0, 0] = 6 - changed[0, 0]
    assert run(last_use=changed, folds=make_folds(last_use, 2, 2, 42))[1] == 4
    assert run(folds=make_folds(last_use, 2, 2, 43))[1] == 4
    assert run(folds=make_folds(last_use, 2, 1, 42))[1] == 0
    monkeypatch.setattr(cache, "version", lambda package: f"another {package}")
    assert run()[1] == 4


def test_a_fold_of_other_code_is_not_taken(run, tmp_path, monkeypatch):
    run()
    package = tmp_path / "package"
    (package / "training").mkdir(parents=True)
    (package / "codebook.py").touch()
    monkeypatch.setattr(cache.codebook, "__file__", str(package / "codebook.py"))
    assert run()[1] == 4
    (package / "training" / "estimators.py").write_text("a = 1", encoding="utf-8")
    assert run()[1] == 4


def test_a_damaged_file_is_made_again(run):
    before, _ = run()
    damaged = min(run.folder.iterdir())
    for content in (b"", damaged.read_bytes()[:-8], b"nothing"):
        damaged.write_bytes(content)
        after, fits = run()
        assert fits == 1
        assert np.array_equal(after.probabilities, before.probabilities)


def test_without_a_folder_nothing_is_written(invented, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cross_validate(Constant(), *invented, make_folds(invented[1], 2, 1, 42))
    assert list(tmp_path.iterdir()) == []


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
