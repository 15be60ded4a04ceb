"""Comparisons with other models and with what was published."""

import numpy as np
import pytest
from sklearn.base import clone

from drugpred import cli
from drugpred.codebook import DRUGS, WINDOWS
from drugpred.training.comparison import PEERS, JointForest, compare, comparison_table, published_table
from drugpred.training.estimators import cumulative_targets, make_pipeline
from drugpred.training.evaluation import Evaluation
from drugpred.training.intervals import half_widths
from drugpred.training.measures import base_rates, measure
from drugpred.training.published import PUBLISHED, WHY_OPTIMISTIC

CANNABIS, DECADE = DRUGS.index("cannabis"), WINDOWS.index("decade")


def evaluate(blur, n=400, windows=6):
    """Return an evaluation of an invented model that knows the truth but for noise; the same truth and folds each."""
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
        half = half_widths(blurred.overall_folds()[name] - sharp.overall_folds()[name], 1 / 4)
        assert (d.low, d.high) == pytest.approx((d.difference - half, d.difference + half))


def test_the_worse_is_told_from_the_better_whichever_way_a_figure_goes(sharp, blurred):
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


def test_only_what_both_models_say_is_compared(sharp):
    some = evaluate(3.0, windows=3)
    assert {d.figure for d in compare(sharp, some)} == set(sharp.overall()) - {"ranked_probability_score"}


def test_the_table_shows_every_difference(sharp, blurred):
    differences = compare(sharp, blurred)
    table = comparison_table("forest", differences)
    assert len(table.rows) == len(differences)
    assert PEERS["forest"].description in table.note
    for row, d in zip(table.rows, differences, strict=True):
        assert row[0] == d.figure.replace("_", " ")
        assert row[-1] == d.verdict
        assert "±" in row[3]


def test_published_figures_stand_beside_ours(stored_model):
    table = published_table(stored_model.card)
    assert [row[0] for row in table.rows] == [*DRUGS, "mean"]
    assert table.note == WHY_OPTIMISTIC
    cannabis = table.rows[CANNABIS]
    ours = stored_model.card.drugs["cannabis"]["decade"]
    assert cannabis[1:4] == ("79.3", "80.0", "159.3")
    assert [float(text) for text in cannabis[4:6]] == pytest.approx(
        [100 * ours.sensitivity, 100 * ours.specificity], abs=0.051
    )
    total = 100 * (ours.sensitivity + ours.specificity)
    assert float(cannabis[6]) == pytest.approx(total, abs=0.07)
    low, high = map(float, cannabis[7].split(" to "))
    assert low < total < high
    assert table.rows[-1][3] == "153.5"
    assert float(table.rows[-1][6]) == pytest.approx(stored_model.card.overall["decade_sens_spec"], abs=0.06)


def test_what_is_published_is_as_published():
    assert tuple(PUBLISHED) == DRUGS
    sums = [each.sensitivity + each.specificity for each in PUBLISHED.values()]
    assert np.mean(sums) == pytest.approx(153.5, abs=0.05)


def test_what_could_not_be_measured_is_a_dash(stored_model):
    card = stored_model.card.model_copy(deep=True)
    windows = card.drugs["crack"]
    windows["decade"] = windows["decade"].model_copy(
        update={"sensitivity": None, "specificity": None, "balanced_accuracy": None, "intervals": {}}
    )
    table = published_table(card)
    assert table.rows[DRUGS.index("crack")][4:] == ("-", "-", "-", "-")
    assert float(table.rows[-1][6]) > 100


def test_the_command_knows_the_peers():
    assert tuple(PEERS) == cli.PEERS


@pytest.mark.parametrize("name", PEERS)
def test_peers_follow_scikit_learn_and_their_seed(name):
    one, other = PEERS[name].estimator(1), PEERS[name].estimator(2)
    assert one.get_params()["random_state"] == 1
    assert clone(other).get_params()["random_state"] == 2


def test_the_reference_has_its_threshold():
    assert {name: peer.threshold for name, peer in PEERS.items() if peer.threshold} == {"reference": 0.5}
    assert PEERS["reference"].estimator(1).sampler == "smote"


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in PEERS])
def test_peers_learn_something(real, name):
    estimator = PEERS[name].estimator(1)
    train, test = np.arange(0, 1885, 2), np.arange(1, 1885, 2)
    pipeline = make_pipeline(estimator).fit(real.X[train], real.last_use[train])
    probabilities = pipeline.predict_proba(real.X[test])
    figures = measure(probabilities, real.last_use[test], base_rates(real.last_use[train]))
    assert figures["auc"][CANNABIS, DECADE] > 0.84
    assert np.isfinite(figures["auc"][:, [1, 2]]).all()


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
