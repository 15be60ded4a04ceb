"""The study of imbalance: its treatments and its figures."""

import numpy as np
import pytest
from imblearn.metrics import geometric_mean_score

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.training import imbalance
from drugpred.training.classification_metrics import base_rates
from drugpred.training.configuration import Configuration
from drugpred.training.estimators import make_pipeline
from drugpred.training.evaluation import cross_validate, make_folds
from drugpred.training.imbalance import COMPARED_METRICS, TREATMENTS, compare_treatments, treatments_table
from drugpred.training.per_drug import PerDrug, logistic
from tests.harness import NIGHTLY

DECADE = WINDOWS.index("decade")


@pytest.fixture(scope="module")
def some(real):
    return type(real)(real.frame.iloc[::4], "uci", "")


@pytest.fixture(scope="module")
def few_drugs(some):
    """The same as if nobody had used but three drugs that few use: nothing is fitted for the others."""
    others = set(DRUGS) - {"crack", "heroin", "volatile_substances"}
    return type(some)(some.frame.assign(**dict.fromkeys(others, 0)), "uci", "")


def config(repeats=2):
    return Configuration.model_validate(
        {
            "seed": 1,
            "overclaimers": "keep",
            "estimator": {"kind": "logistic", "penalty": 5, "sampler": "none"},
            "cross_validation": {"folds": 2, "repeats": repeats},
            "simulated_respondents": 1000,
        }
    )


@pytest.fixture(scope="module")
def results(few_drugs):
    """Of the treatments that are quickly fitted."""
    quick = ("logistic regression", "logistic, class weights", "logistic, undersampling")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imbalance, "TREATMENTS", {name: TREATMENTS[name] for name in quick})
        return compare_treatments(few_drugs, config())


def values(results, figure):
    return {(r.treatment, r.recalibrated): r for r in results if r.figure == figure}


def test_every_treatment_is_tried_with_and_without_recalibration(results):
    assert [(r.treatment, r.recalibrated) for r in results[:: len(COMPARED_METRICS)]] == [
        ("logistic regression", False),
        ("logistic regression", True),
        ("logistic, class weights", False),
        ("logistic, class weights", True),
        ("logistic, undersampling", False),
        ("logistic, undersampling", True),
    ]
    assert [r.figure for r in results[: len(COMPARED_METRICS)]] == list(COMPARED_METRICS)


def test_the_study_is_of_samplers_weights_and_forests():
    samplers = {name: treatment.sampler for name, treatment in TREATMENTS.items()}
    assert set(samplers.values()) == {"none", "smote", "smotenc", "undersampling"}
    kinds = {name: type(treatment.classifier(3)).__name__ for name, treatment in TREATMENTS.items()}
    assert kinds["balanced forest"] == "BalancedRandomForestClassifier"
    assert kinds["forest, SMOTE"] == kinds["forest"] == "RandomForestClassifier"
    assert TREATMENTS["logistic, class weights"].classifier(3).class_weight == "balanced"
    plain = {name for name, treatment in TREATMENTS.items() if not treatment.evens_out}
    assert plain == {"logistic regression", "forest"}
    assert TREATMENTS["forest"].classifier(3).random_state == 3


def test_each_treatment_has_the_threshold_that_it_assumes(results):
    thresholds = {(r.treatment, r.recalibrated): r.threshold for r in results}
    assert thresholds["logistic regression", False] == thresholds["logistic, class weights", True] == "share"
    assert thresholds["logistic, class weights", False] == thresholds["logistic, undersampling", False] == "0.5"


def test_figures_by_hand(results, few_drugs):
    last_use = few_drugs.last_use
    folds = make_folds(last_use, 2, 2, 1)
    evaluation = cross_validate(
        make_pipeline(PerDrug(logistic(5), windows=("decade",), random_state=1)), few_drugs.X, last_use, folds
    )
    plain = {name: values(results, name)["logistic regression", False].value for name in COMPARED_METRICS}
    assert plain["auc"] == pytest.approx(np.nanmean(evaluation.folds["auc"][:, :, DECADE]))
    assert plain["log_loss"] == pytest.approx(evaluation.overall()["decade_log_loss"])
    assert plain["calibration_error"] == pytest.approx(evaluation.overall()["decade_calibration_error"])
    assert plain["balanced_accuracy"] == pytest.approx(evaluation.overall()["decade_sens_spec"] / 200)
    scores = []
    for i, (train, test) in enumerate(folds):
        said = evaluation.probabilities[i // 2][test][:, :, DECADE] >= base_rates(last_use[train])[:, DECADE]
        truth = last_use[test] > DECADE
        scores += [
            geometric_mean_score(truth[:, k], said[:, k]) for k in range(18) if 0 < truth[:, k].sum() < len(test)
        ]
    assert plain["geometric_mean"] == pytest.approx(np.mean(scores))


def test_differences_are_from_plain_logistic_regression(results):
    for figure in COMPARED_METRICS:
        found = values(results, figure)
        plain = found["logistic regression", False]
        assert (plain.difference, plain.difference_low, plain.difference_high) == (0, 0, 0)
        for result in found.values():
            assert result.low <= result.value <= result.high
            assert result.difference == pytest.approx(result.value - plain.value)
            assert result.difference_low <= result.difference <= result.difference_high


def test_evening_out_wrecks_calibration_and_recalibration_mends_it(results):
    errors = values(results, "calibration_error")
    for treatment in ("logistic, class weights", "logistic, undersampling"):
        assert errors[treatment, False].difference_low > 0.1 * 3 / 18  # figures are means of 18 drugs
        assert errors[treatment, True].value < errors[treatment, False].value / 2


def test_the_table_has_a_row_for_each_and_marks_differences(results):
    table = treatments_table(results)
    assert len(table.rows) == 6
    assert all(len(row) == len(table.headings) for row in table.rows)
    plain, weighted = table.rows[0], table.rows[2]
    assert plain[:3] == ("logistic regression", "no", "share")
    assert not any("*" in cell for cell in plain)
    assert weighted[5].endswith("*")
    assert "Recalibration" in table.note


def test_finished_folds_are_kept(few_drugs, tmp_path, monkeypatch, results):
    monkeypatch.setattr(imbalance, "TREATMENTS", {"logistic regression": TREATMENTS["logistic regression"]})
    once = compare_treatments(few_drugs, config(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * 2 * 2
    assert compare_treatments(few_drugs, config(), tmp_path) == once == results[: len(once)]


@pytest.mark.slow
def test_the_whole_study(some, few_drugs, monkeypatch):
    monkeypatch.setattr(imbalance, "_TREES", 10)
    results = compare_treatments(some if NIGHTLY else few_drugs, config(repeats=1))
    assert len(results) == 2 * len(TREATMENTS) * len(COMPARED_METRICS)
    assert np.isfinite([r[4:] for r in results]).all()
    losses = values(results, "log_loss")
    # Nothing that evens out users and non-users says better how likely use is.
    assert all(
        losses[name, False].value > losses["logistic regression", False].value
        for name, treatment in TREATMENTS.items()
        if treatment.evens_out
    )
