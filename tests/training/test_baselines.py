"""Comparisons with other models and with published results."""

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.base import clone

from drugpred import cli
from drugpred.codebook import DRUGS, WINDOWS
from drugpred.training.baselines import BASELINES, JointForest, compare, comparison_table
from drugpred.training.classification_metrics import base_rates, measure
from drugpred.training.confidence import corrected_half_widths
from drugpred.training.estimators import cumulative_targets, make_pipeline
from drugpred.training.evaluation import Evaluation

CANNABIS, DECADE = DRUGS.index("cannabis"), WINDOWS.index("decade")


def evaluate(blur, n=400, windows=6):
    """Return an evaluation of a made-up model that predicts the truth with noise; truth and folds never change."""
    rng = np.random.default_rng(0)
    last_use = rng.integers(0, 7, size=(n, 18))
    tested = np.tile(np.arange(n) % 5, (2, 1))
    noise = rng.normal(size=(2, n, 18, 6))
    log_odds = 2 * cumulative_targets(last_use) - 1 + blur * noise
    probabilities = 1 / (1 + np.exp(np.sort(-log_odds, axis=3)))
    probabilities[..., windows:] = np.nan
    by_fold = [
        measure(probabilities[i][tested[i] == k], last_use[tested[i] == k], base_rates(last_use[tested[i] != k]))
        for i in range(2)
        for k in range(5)
    ]
    folds = {name: np.stack([fold[name] for fold in by_fold]) for name in by_fold[0]}
    return Evaluation(last_use, probabilities, folds, tested)


@pytest.fixture(scope="module")
def sharp():
    return evaluate(2.0)


@pytest.fixture(scope="module")
def blurred():
    return evaluate(3.0)


def test_differences_are_paired(sharp, blurred):
    differences = {d.figure: d for d in compare(sharp, blurred)}
    assert set(differences) == set(sharp.overall())
    for name, d in differences.items():
        assert (d.own, d.other) == (sharp.overall()[name], blurred.overall()[name])
        assert d.difference == pytest.approx(d.other - d.own)
        half = corrected_half_widths(blurred.overall_folds()[name] - sharp.overall_folds()[name], 1 / 4)
        assert (d.low, d.high) == pytest.approx((d.difference - half, d.difference + half))


def test_better_and_worse_are_found_for_metrics_of_either_direction(sharp, blurred):
    for d in compare(sharp, blurred):
        if d.figure != "decade_calibration_error":
            assert d.verdict == "worse", d.figure
    for d in compare(blurred, sharp):
        if d.figure != "decade_calibration_error":
            assert d.verdict == "better", d.figure


def test_a_model_is_as_good_as_itself(sharp):
    for d in compare(sharp, sharp):
        assert (d.difference, d.low, d.high) == (0, 0, 0)
        assert d.verdict == "within error"


def test_only_figures_of_both_models_are_compared(sharp):
    some = evaluate(3.0, windows=3)
    assert {d.figure for d in compare(sharp, some)} == set(sharp.overall()) - {"ranked_probability_score"}


def test_the_table_shows_every_difference(sharp, blurred):
    differences = compare(sharp, blurred)
    table = comparison_table("forest", differences)
    assert len(table.rows) == len(differences)
    assert BASELINES["forest"].description in table.note
    for row, d in zip(table.rows, differences, strict=True):
        assert row[0] == d.figure.replace("_", " ")
        assert row[-1] == d.verdict
        assert "±" in row[3]


def test_the_command_names_the_baselines():
    text = CliRunner().invoke(cli.main, ["evaluate", "--help"]).output
    assert all(name in text for name in (*BASELINES, "all"))


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_follow_scikit_learn_and_their_seed(name):
    one, other = BASELINES[name].make_estimator(1), BASELINES[name].make_estimator(2)
    assert one.get_params()["random_state"] == 1
    assert clone(other).get_params()["random_state"] == 2


def test_the_reference_has_its_threshold():
    assert {name: baseline.threshold for name, baseline in BASELINES.items() if baseline.threshold} == {
        "reference": 0.5
    }
    assert BASELINES["reference"].make_estimator(1).sampler == "smote"


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_baselines_learn_something(real, name):
    estimator = BASELINES[name].make_estimator(1)
    # As if nobody had used any but three drugs: nothing is fitted for the others.
    drugs = [CANNABIS, DRUGS.index("heroin"), DRUGS.index("lsd")]
    last_use = np.zeros_like(real.last_use)
    last_use[:, drugs] = real.last_use[:, drugs]
    pipeline = make_pipeline(estimator).fit(real.X[::2], last_use[::2])
    probabilities = pipeline.predict_proba(real.X[1::2])
    figures = measure(probabilities, last_use[1::2], base_rates(last_use[::2]))
    assert figures["auc"][CANNABIS, DECADE] > 0.84
    assert np.isfinite(figures["auc"][np.ix_(drugs, [1, 2])]).all()


def test_the_forest_knows_shares(real):
    X, last_use = real.X[::4], real.last_use[::4].copy()
    last_use[:, 0] = 0
    pipeline = make_pipeline(JointForest(n_estimators=20, random_state=1)).fit(X, last_use)
    probabilities = pipeline.predict_proba(real.X[1::4])
    assert probabilities.shape == (471, 18, 6)
    assert (np.diff(probabilities, axis=2) <= 0).all()
    assert (probabilities[:, 0] == 0).all()
    assert np.abs(probabilities.mean(axis=0) - base_rates(last_use)).max() < 0.05
    assert np.array_equal(clone(pipeline).fit(X, last_use).predict_proba(real.X[1::4]), probabilities)
