"""A classifier for each drug: properties of its probabilities, and that nobody's row is kept."""

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import skops.io
from bentoml._internal.models import ModelStore
from imblearn.over_sampling import SMOTE
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from drugpred import model_store
from drugpred.codebook import DRUGS, INPUTS, WINDOWS
from drugpred.data.respondents import write_csv
from drugpred.predictor import Predictor, design_matrix, to_npz
from drugpred.training.estimators import cumulative_targets, input_mask, make_pipeline
from drugpred.training.per_drug import PerDrug, logistic
from tests.harness import NIGHTLY

ROOT = Path(__file__).parents[2]
CANNABIS, CRACK, HEROIN, LSD = (DRUGS.index(drug) for drug in ("cannabis", "crack", "heroin", "lsd"))
DECADE = WINDOWS.index("decade")
SAMPLERS = ("none", "smote", "smotenc", "undersampling")
USED = sorted([CANNABIS, CRACK, HEROIN, LSD])


@pytest.fixture(scope="module")
def train(real):
    """A third of the respondents, as if nobody had used any but four drugs: nothing is fitted for the others."""
    last_use = np.zeros_like(real.last_use[::3])
    last_use[:, USED] = real.last_use[::3, USED]
    return real.X[::3], last_use


@pytest.fixture(scope="module")
def others(real):
    return real.X[1::3], real.last_use[1::3]


@pytest.fixture(scope="module")
def all_drugs(real):
    return real.X[::3], real.last_use[::3]


@pytest.fixture(scope="module")
def plain(all_drugs):
    """Logistic regression of every drug and window."""
    return make_pipeline(PerDrug(logistic(5))).fit(*all_drugs)


@pytest.fixture(scope="module")
def resampled(train):
    """For every sampler, of one window, with and without recalibration."""
    return {
        (sampler, recalibrate): make_pipeline(PerDrug(logistic(5), sampler, recalibrate, windows=("decade",))).fit(
            *train
        )
        for sampler in SAMPLERS
        for recalibrate in (False, True)
    }


def test_every_drug_and_window_has_a_probability_and_none_rises(plain, others):
    probabilities = plain.predict_proba(others[0])
    assert probabilities.shape == (len(others[0]), 18, 6)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert (np.diff(probabilities, axis=2) <= 0).all()


def test_it_is_logistic_regression_of_that_drug_and_window(resampled, train, others):
    X, last_use = train
    for drug in (CANNABIS, LSD):
        one = LogisticRegression(C=0.2, max_iter=1000).fit(design_matrix(X), last_use[:, drug] > DECADE)
        said = one.predict_proba(design_matrix(others[0]))[:, 1]
        # Weights are rounded to multiples of 1/128, and a dozen of them add up.
        probabilities = resampled["none", False].predict_proba(others[0])[:, drug, DECADE]
        assert np.abs(probabilities - said).max() < 0.015


@pytest.mark.parametrize("windows", [("decade", "week"), ("week", "decade")])
def test_windows_that_are_not_fitted_are_nan(train, others, windows):
    probabilities = make_pipeline(PerDrug(logistic(5), windows=windows)).fit(*train).predict_proba(others[0])
    assert np.isfinite(probabilities[:, :, [1, 4]]).all()
    assert np.isnan(probabilities[:, :, [0, 2, 3, 5]]).all()
    assert (probabilities[:, :, 1] >= probabilities[:, :, 4]).all()


@pytest.mark.parametrize("sampler", SAMPLERS[1:])
def test_resampling_exaggerates_and_recalibration_mends_it(resampled, others, sampler):
    X, last_use = others
    share = (last_use[:, HEROIN] > DECADE).mean()
    raw, mended, plain = (
        resampled[key].predict_proba(X)[:, HEROIN, DECADE]
        for key in ((sampler, False), (sampler, True), ("none", False))
    )
    assert raw.mean() > share + 0.1
    assert mended.mean() == pytest.approx(share, abs=0.04)
    # It changes how much is said, not of whom.
    assert np.corrcoef(np.argsort(np.argsort(raw)), np.argsort(np.argsort(mended)))[0, 1] > 0.99
    assert np.corrcoef(mended, plain)[0, 1] > 0.7


def test_samplers_differ(resampled, others):
    said = [resampled[sampler, False].predict_proba(others[0])[:, HEROIN, DECADE] for sampler in SAMPLERS]
    for i, one in enumerate(said):
        assert all(np.abs(one - other).max() > 0.01 for other in said[:i])


def test_the_sampler_does_not_change_the_rows_of_recalibration(train, monkeypatch):
    """Those who are held out are real, and as many as there are."""
    from sklearn import calibration

    calibrated = []

    def note(predictions, y, *arguments, **keywords):
        calibrated.append((len(y), y.mean()))
        return original(predictions, y, *arguments, **keywords)

    original = calibration._sigmoid_calibration
    monkeypatch.setattr(calibration, "_sigmoid_calibration", note)
    X, last_use = train
    make_pipeline(PerDrug(logistic(5), "smote", recalibrate=True, windows=("decade",))).fit(X, last_use)
    shares = (last_use[:, USED] > DECADE).mean(axis=0)
    assert calibrated == [(len(X), pytest.approx(share)) for share in shares]


def test_smotenc_makes_nobody_of_two_countries_and_smote_does(train, monkeypatch):
    seen = {}

    class Spy(LogisticRegression):
        def fit(self, X, y):
            seen.setdefault(self.tol, X)
            return super().fit(X, y)

    for tol, sampler in ((1e-4, "smotenc"), (2e-4, "smote")):
        make_pipeline(PerDrug(Spy(tol=tol), sampler, windows=("decade",))).fit(*train)
    levels = {tol: np.isin(X[:, :31], [0, 1]).all() for tol, X in seen.items()}
    assert levels == {1e-4: True, 2e-4: False}
    assert all(len(X) > len(train[0]) for X in seen.values())


def test_drugs_that_few_use_are_not_resampled(train):
    X, last_use = train
    last_use = last_use.copy()
    last_use[:, CRACK] = np.where(np.arange(len(X)) < 9, 6, 0)
    last_use[:, HEROIN] = np.where(np.arange(len(X)) < 10, 6, 0)
    direct = {
        sampler: PerDrug(logistic(5), sampler, sampler != "none", windows=("decade",))
        .fit(design_matrix(X), last_use)
        .direct_.reshape(-1, 18, 6)[:, :, DECADE]
        for sampler in ("none", "undersampling")
    }
    assert np.array_equal(direct["none"][:, CRACK], direct["undersampling"][:, CRACK])
    assert not np.array_equal(direct["none"][:, HEROIN], direct["undersampling"][:, HEROIN])


@pytest.mark.parametrize(
    "classifier", [logistic(5), RandomForestClassifier(5, random_state=0)], ids=["linear", "forest"]
)
def test_a_drug_that_nobody_or_everybody_uses_has_a_probability(train, others, classifier):
    X, last_use = train
    last_use = last_use.copy()
    last_use[:, CRACK], last_use[:, LSD] = 0, 6
    pipeline = make_pipeline(PerDrug(classifier, windows=("decade",))).fit(X, last_use)
    probabilities = pipeline.predict_proba(others[0])[:, :, DECADE]
    odds = 0.5 / (len(X) + 0.5)
    assert probabilities[:, CRACK] == pytest.approx(odds / (1 + odds), rel=0.01)
    assert probabilities[:, LSD] == pytest.approx(1 / (1 + odds), rel=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline.predict_proba(others[0][:1])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_inputs_that_are_left_out_have_no_part(train, others, sampler):
    estimator = PerDrug(logistic(5), sampler, windows=("decade",), leave_out=("gender", "impulsivity"))
    pipeline = make_pipeline(estimator).fit(*train)
    X = others[0].copy()
    before = pipeline.predict_proba(X)
    X[:, INPUTS.index("gender")] = 1 - X[:, INPUTS.index("gender")]
    X[:, INPUTS.index("impulsivity")] = 0
    assert np.array_equal(pipeline.predict_proba(X), before, equal_nan=True)
    X[:, INPUTS.index("age")] = 0
    assert not np.array_equal(pipeline.predict_proba(X), before, equal_nan=True)
    assert not pipeline[-1].direct_[~input_mask(("gender", "impulsivity"))].any()


@pytest.mark.parametrize("recalibrate", [False, True])
def test_any_classifier_will_do(train, others, recalibrate):
    X, last_use = train
    forest = RandomForestClassifier(10, min_samples_leaf=5, random_state=0)
    pipeline = make_pipeline(PerDrug(forest, recalibrate=recalibrate, windows=("decade",))).fit(X, last_use)
    probabilities = pipeline.predict_proba(others[0])[:, CANNABIS, DECADE]
    if not recalibrate:
        alone = clone(forest).fit(design_matrix(X), last_use[:, CANNABIS] > DECADE)
        assert np.array_equal(probabilities, alone.predict_proba(design_matrix(others[0]))[:, 1])
    assert probabilities.mean() == pytest.approx((others[1][:, CANNABIS] > DECADE).mean(), abs=0.05)
    with pytest.raises(TypeError, match="expected a logistic regression"):
        pipeline[-1].arrays()


def test_the_predictor_gives_the_numbers_of_the_pipeline(plain, real, tmp_path):
    path = tmp_path / "network.npz"
    path.write_bytes(to_npz(plain[-1].arrays()))
    for predictor in (Predictor(**plain[-1].arrays()), Predictor.load(path)):
        assert np.abs(predictor.predict_proba(real.X) - plain.predict_proba(real.X)).max() < 1e-9


def test_some_windows_cannot_be_served(resampled):
    with pytest.raises(TypeError, match="every window"):
        resampled["none", False][-1].arrays()


def test_the_seed_decides_the_sample(train):
    def direct(seed):
        return (
            PerDrug(logistic(5), "undersampling", windows=("decade",), random_state=seed)
            .fit(design_matrix(train[0]), train[1])
            .direct_
        )

    assert np.array_equal(direct(1), direct(1))
    assert not np.array_equal(direct(1), direct(2))


def test_fitting_leaves_its_arguments_and_its_classifier_as_they_were(train):
    X, last_use = design_matrix(train[0]), train[1].copy()
    X.flags.writeable = last_use.flags.writeable = False
    classifier = logistic(5)
    PerDrug(classifier, "smotenc", windows=("decade",)).fit(X, last_use)
    assert not hasattr(classifier, "coef_")


def test_estimators_follow_scikit_learn():
    estimator = PerDrug(logistic(5), "smote", recalibrate=True, windows=("year",), leave_out=("age",), random_state=7)
    copy = clone(estimator)
    assert copy.get_params(deep=False).keys() == estimator.get_params(deep=False).keys()
    assert (copy.sampler, copy.recalibrate, copy.windows, copy.leave_out) == ("smote", True, ("year",), ("age",))
    assert copy.set_params(classifier__C=3.0).classifier.C == 3.0
    assert estimator.classifier.C == 0.2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_stored_pipeline_holds_no_sampler_and_no_respondent(real, train, resampled, records_in, sampler):
    pipeline = resampled[sampler, True]
    stored = skops.io.dumps(pipeline)
    types = skops.io.get_untrusted_types(data=stored)
    assert types == ["drugpred.training.per_drug.PerDrug"]
    assert records_in(stored) == []
    again = skops.io.loads(stored, trusted=types)
    assert np.array_equal(again.predict_proba(real.X), pipeline.predict_proba(real.X), equal_nan=True)
    # The search would find a sampler's rows.
    sampler = SMOTE().fit_resample(design_matrix(train[0]), train[1][:, HEROIN] > DECADE)
    buffer = io.BytesIO()
    np.savez(buffer, sampler[0])
    assert records_in(buffer.getvalue())


@pytest.mark.slow
def test_it_is_trained_stored_and_served_as_configured(real, tmp_path, records_in):
    # As if nobody had used any but three drugs: nothing is fitted for the others.
    data, others = tmp_path / "data.csv", set(DRUGS) - {"cannabis", "heroin", "lsd"}
    with data.open("w", encoding="utf-8", newline="") as file:
        write_csv(real.frame.assign(**dict.fromkeys(others, 0)), file, header=True)
    config = tmp_path / "train.yaml"
    sampler = "smote" if NIGHTLY else "none"  # a sampler needs five more fits of each drug and window
    config.write_text(
        f"""
        seed: 42
        overclaimers: keep
        estimator: {{kind: logistic, penalty: 5, sampler: {sampler}, leave_out: [gender, ethnicity]}}
        cross_validation: {{folds: 2, repeats: 1}}
        simulated_respondents: 1000
        """,
        encoding="utf-8",
    )
    command = [sys.executable, ROOT / "train.py", "--data", data, "--config", config]
    done = subprocess.run(command, env=os.environ | {"BENTOML_HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stored_model = model_store.read(ModelStore(tmp_path / "models").get(model_store.NAME))
    assert stored_model.card.estimator == "logistic"
    assert stored_model.card.configuration["estimator"]["leave_out"] == ["gender", "ethnicity"]
    assert stored_model.card.overall["cannabis_decade_auc"] > 0.86
    stored = [path for path in stored_model.path.rglob("*") if path.is_file()]
    assert [path.name for path in stored if records_in(path.read_bytes())] == []
    X = real.X[:50]
    before = stored_model.predictor.predict_proba(X)
    pipeline = skops.io.load(stored_model.path / "pipeline.skops", trusted=["drugpred.training.per_drug.PerDrug"])
    assert np.abs(pipeline.predict_proba(X) - before).max() < 1e-9
    X[:, INPUTS.index("gender")] = 1 - X[:, INPUTS.index("gender")]
    X[:, INPUTS.index("ethnicity")] = 0
    # What the other inputs add up to may be rounded in another order.
    assert np.abs(stored_model.predictor.predict_proba(X) - before).max() < 1e-12


def test_a_clone_is_not_fitted(plain):
    assert not hasattr(clone(plain)[-1], "direct_")


def test_targets_are_the_windows(plain, all_drugs):
    means = plain.predict_proba(all_drugs[0]).mean(axis=0)
    assert np.abs(means - cumulative_targets(all_drugs[1]).mean(axis=0)).max() < 0.02
