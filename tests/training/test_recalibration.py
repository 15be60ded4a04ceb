"""Recalibration from counts: the errors that it corrects in simulations, the drugs that it leaves, and its version."""

import json

import numpy as np
import pytest
import skops.io
from scipy.optimize import minimize
from scipy.special import expit, logit

from drugpred import model_store
from drugpred.codebook import DRUGS, WINDOWS
from drugpred.data.simulator import Cohort
from drugpred.monitoring.binning import Binning
from drugpred.predictor import to_npz
from drugpred.training import recalibration
from drugpred.training.estimators import make_pipeline
from drugpred.training.per_drug import PerDrug, logistic
from drugpred.training.promotion import PromotionError
from drugpred.training.recalibration import fit_lines, is_changed, recalibrate
from drugpred.training.stored_pipeline import load_pipeline
from tests.harness.outcomes import draw_counts
from tests.harness.store import using

WITHIN = WINDOWS.index("decade")

TRUTHS = {
    "label noise .1": lambda p: p + 0.1 * (1 - 2 * p),
    "label noise .2": lambda p: p + 0.2 * (1 - 2 * p),
    "base rate up": lambda p: expit(logit(p) + 1),
    "base rate down": lambda p: expit(logit(p) - 1),
}
"""True probabilities of use by those predicted: each outcome is replaced by the other with the noise's probability."""

NUMBERS = (500, 2000, 5000)

ERRORS = {
    "label noise .1": (0.064, 0.034, 0.015, 0.014),
    "label noise .2": (0.128, 0.031, 0.019, 0.018),
    "base rate up": (0.134, 0.014, 0.008, 0.005),
    "base rate down": (0.114, 0.017, 0.006, 0.004),
}
"""Mean calibration error of 18 drugs before, and of the stored versions by the number of outcomes of each drug."""


@pytest.fixture(scope="module")
def rows():
    return Cohort.load().rows(20_000, np.random.default_rng(1))


@pytest.fixture(scope="module")
def predicted(stored_model, rows):
    """The model's probabilities of use within a decade, for simulated people."""
    return stored_model.predictor.predict_proba(rows)[:, :, WITHIN]


@pytest.fixture
def home(tmp_path):
    with using(tmp_path / "home") as store:
        yield store


def calibration_errors(probabilities, truth):
    """Return each drug's expected calibration error in ten bins, without the noise of outcomes."""
    bins = (probabilities * 10).astype(int)
    columns = zip(bins.T, (truth - probabilities).T, strict=True)
    return np.array([np.abs(np.bincount(at, of, 10)).sum() for at, of in columns]) / len(truth)


def some(counts, n, rng):
    """Return the indices of n people, drawn with replacement."""
    return rng.integers(0, len(counts), n)


def store(stored_model, counts):
    tag = recalibration.store(stored_model, recalibrate(counts), None)
    return model_store.load(tag)


@pytest.mark.parametrize("n", NUMBERS)
def test_where_nothing_is_wrong_nothing_is_changed(predicted, n):
    rng, runs = np.random.default_rng(n), 400
    drawn = [draw_counts(p, p, rng) for p in (predicted[some(predicted, n, rng)] for _ in range(runs))]
    outcomes, sums = (np.array([getattr(of, name) for of in drawn]) for name in ("outcomes", "probability"))
    lines = fit_lines(outcomes, sums)
    # Of the runs; the level is .01, and 12 of 400 are far more than chance explains.
    assert is_changed(outcomes, lines).any(axis=1).mean() <= 0.03
    # The test is not blunt: of single drugs, one of twenty differs at a level of .05.
    assert 0.02 < (lines.statistic > 5.99).mean() < 0.08


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("name", TRUTHS)
def test_the_calibration_error_comes_back(stored_model, predicted, rows, home, name, n):
    truth, rng = TRUTHS[name](predicted), np.random.default_rng(2)
    picked = some(predicted, n, rng)
    new = store(stored_model, draw_counts(predicted[picked], truth[picked], rng))
    before = calibration_errors(predicted, truth)
    after = calibration_errors(new.predictor.predict_proba(rows)[:, :, WITHIN], truth)
    figures = dict(zip((0, *NUMBERS), ERRORS[name], strict=True))
    assert (before.mean(), after.mean()) == pytest.approx((figures[0], figures[n]), abs=0.003)
    changed = [drug in new.card.recalibration.drugs for drug in DRUGS]
    assert sum(changed) >= (12 if n == 500 else 16)
    assert (after[changed] < before[changed]).all()


def test_one_line_serves_all_windows(stored_model, rows, home):
    rng = np.random.default_rng(6)
    predicted = stored_model.predictor.predict_proba(rows)
    truth = TRUTHS["base rate up"](predicted)
    picked, windows = some(rows, 5000, rng), rng.integers(0, len(WINDOWS), 5000)
    new = store(stored_model, draw_counts(predicted[picked, :, windows], truth[picked, :, windows], rng))
    probabilities = new.predictor.predict_proba(rows)
    for k, window in enumerate(WINDOWS):
        before, after = (calibration_errors(p[:, :, k], truth[:, :, k]) for p in (predicted, probabilities))
        assert after.mean() < before.mean() / 4, window


def test_the_line_and_its_errors_are_those_of_maximum_likelihood(predicted):
    rng = np.random.default_rng(3)
    p = predicted[:, DRUGS.index("cannabis")]
    drawn = [
        draw_counts(np.tile(q[:, None], 18), np.tile(expit(0.5 + 0.7 * logit(q))[:, None], 18), rng)
        for q in (p[some(p, 1000, rng)] for _ in range(20))
    ]
    outcomes, sums = (np.concatenate([getattr(of, name) for of in drawn]) for name in ("outcomes", "probability"))
    lines = fit_lines(outcomes, sums)
    assert lines.shift.mean() == pytest.approx(0.5, abs=0.03)
    assert lines.scale.mean() == pytest.approx(0.7, abs=0.04)
    assert lines.shift_error.mean() == pytest.approx(lines.shift.std(), rel=0.15)
    assert lines.scale_error.mean() == pytest.approx(lines.scale.std(), rel=0.15)

    n = outcomes[0].sum(axis=1)
    x = logit(sums[0] / n)

    def minus_log_posterior(at):
        log_odds = at[0] + at[1] * x
        likelihood = outcomes[0, :, 1] @ np.log(expit(log_odds)) + outcomes[0, :, 0] @ np.log(expit(-log_odds))
        return 2 * (at[1] - 1) ** 2 - likelihood

    best = minimize(minus_log_posterior, (0, 1), tol=1e-10)
    assert (lines.shift[0], lines.scale[0]) == pytest.approx(best.x, abs=1e-4)
    gain = 2 * (minus_log_posterior((0, 1)) - best.fun)
    assert lines.statistic[0] == pytest.approx(gain, abs=1e-6)


def counts_of(used, unused, probability):
    """Return counts of which every drug has the same, by bin."""
    outcomes = np.tile(np.stack([unused, used], axis=1).astype(float), (18, 1, 1))
    return draw_counts(np.full((1, 18), 0.5), np.full((1, 18), 0.5), np.random.default_rng())._replace(
        outcomes=outcomes, probability=outcomes.sum(axis=2) * probability
    )


MIDDLES = np.arange(0.05, 1, 0.1)


@pytest.mark.parametrize(
    ("used", "unused", "kept"),
    [
        (180, 20, None),
        (180, 19, "too few outcomes"),
        (181, 18, "too few outcomes"),
        (19, 900, "too few outcomes"),
        (0, 0, "too few outcomes"),
        (100, 110, "calibrated"),
    ],
)
def test_a_drug_with_few_outcomes_stays(used, unused, kept):
    at = np.eye(10)[4]
    found = recalibrate(counts_of(used * at, unused * at, 0.48))
    assert {of.kept for of in found} == {kept}
    assert {of.line is None for of in found} == {kept == "too few outcomes"}
    if kept is None:  # probabilities of one bin say nothing about the scale
        line = found[0].line
        assert line.scale == pytest.approx(1, abs=0.01)
        assert line.scale_error == pytest.approx(0.5, abs=0.01)
        assert expit(line.shift + line.scale * logit(0.48)) == pytest.approx(0.9, abs=0.001)


@pytest.mark.parametrize("truth", [1 - MIDDLES, np.full(10, 0.2)], ids=["reversed", "constant"])
def test_a_drug_whose_outcomes_do_not_rise_with_the_probability_stays(truth):
    found = recalibrate(counts_of(100 * truth, 100 * (1 - truth), MIDDLES))
    assert {of.kept for of in found} == {"unrelated to the outcomes: train again"}


def test_outcomes_that_the_probability_separates_have_a_finite_line():
    found = recalibrate(counts_of(100 * (MIDDLES > 0.5), 100 * (MIDDLES < 0.5), MIDDLES))
    assert all(of.kept is None and 1 < of.line.scale < 9 and of.line.scale_error < 0.5 for of in found)


@pytest.fixture
def shifted(stored_model, predicted):
    """Counts of which cannabis and LSD are used more often than predicted, and all others as predicted."""
    truth, rng = predicted.copy(), np.random.default_rng(4)
    for drug in ("cannabis", "lsd"):
        truth[:, DRUGS.index(drug)] = expit(logit(truth[:, DRUGS.index(drug)]) + 1)
    picked = some(predicted, 3000, rng)
    return draw_counts(predicted[picked], truth[picked], rng, stored_model.tag)


def test_a_version_differs_in_the_changed_drugs_alone(stored_model, shifted, home, real):
    new = store(stored_model, shifted)
    changed = [drug in ("cannabis", "lsd") for drug in DRUGS]
    assert list(new.card.recalibration.drugs) == ["cannabis", "lsd"]
    before, after = (of.predictor.predict_proba(real.X) for of in (stored_model, new))
    assert np.array_equal(after[:, ~np.array(changed)], before[:, ~np.array(changed)])
    assert (np.diff(after, axis=2) <= 0).all()
    for drug, line in new.card.recalibration.drugs.items():
        i = DRUGS.index(drug)
        expected = expit(line.shift + line.scale * logit(before[:, i]))
        assert np.abs(after[:, i] - expected).max() < 0.012  # weights are multiples of 1/128
        assert line.outcomes == 3000
        assert line.shift == pytest.approx(1, abs=4 * line.shift_error)
        # Labels, which GET /predict gives, and the shares of drift's bins remain.
        thresholds, new_thresholds = stored_model.card.thresholds[i], new.card.thresholds[i]
        assert (new_thresholds > thresholds).all()
        assert ((after[:, i] >= new_thresholds) == (before[:, i] >= thresholds)).mean() > 0.985
        shares = [
            Binning(of.card.probability_bins).by_name(Binning(of.card.probability_bins).count(p[:, :, WITHIN].T))[drug]
            for of, p in ((stored_model, before), (new, after))
        ]
        assert np.abs(np.subtract(*shares)).max() < 0.02 * len(real.X)
    same = {"recalibration", "created", "drugs", "probability_bins"}
    assert new.card.model_dump(exclude=same) == stored_model.card.model_dump(exclude=same)
    assert new.card.recalibration.model == stored_model.tag


def test_the_pipeline_agrees_with_the_network_and_other_files_remain(stored_model, shifted, home, real):
    new = store(stored_model, shifted)
    ours, theirs = ({p.relative_to(of.path).as_posix(): p for p in of.path.rglob("*")} for of in (new, stored_model))
    assert set(ours) == set(theirs)
    same = {name for name, p in ours.items() if p.is_dir() or p.read_bytes() == theirs[name].read_bytes()}
    assert set(ours) - same == {
        *("pipeline.skops", "network.npz", "uncertainty.npz", "card.json", "model.yaml", "SHA256SUMS")
    }
    pipeline = load_pipeline(new.path)
    assert np.allclose(pipeline.predict_proba(real.X), new.predictor.predict_proba(real.X), atol=1e-9)
    assert to_npz(pipeline[-1].arrays()) == (new.path / "network.npz").read_bytes()
    json.loads(new.card_json)


def test_intervals_are_scaled_with_the_log_odds(stored_model, shifted, home, real):
    new = store(stored_model, shifted)
    ours, theirs = (of.uncertainty.variance(real.X).reshape(-1, 18, 6).mean(axis=(0, 2)) for of in (new, stored_model))
    lines = new.card.recalibration.drugs
    scales = [lines[drug].scale if drug in lines else 1.0 for drug in DRUGS]
    assert np.allclose(ours, np.square(scales) * theirs, rtol=0.01)


def test_a_version_can_be_recalibrated_again(stored_model, shifted, home):
    again = store(store(stored_model, shifted), shifted)
    shifts = [again.card.thresholds[DRUGS.index("lsd")], stored_model.card.thresholds[DRUGS.index("lsd")]]
    assert np.subtract(*logit(shifts)) == pytest.approx(2, abs=0.5)


def test_a_logistic_regression_is_recalibrated_too(stored_model, real, shifted, home):
    pipeline = make_pipeline(PerDrug(logistic(5.0))).fit(real.X[:400], real.last_use[:400])
    others = [(stored_model.path / name).read_bytes() for name in ("background.npy", "uncertainty.npz")]
    model = (skops.io.dumps(pipeline), to_npz(pipeline[-1].arrays()), *others, stored_model.card, {})
    old = model_store.load(model_store.write(*model))
    new = store(old, shifted._replace(model=old.tag))
    ours, theirs = (of.predictor.predict_proba(real.X)[:, DRUGS.index("lsd")] for of in (new, old))
    assert np.median(logit(ours) - logit(theirs)) == pytest.approx(1, abs=0.3)
    agreed = load_pipeline(new.path).predict_proba(real.X)
    assert np.allclose(agreed, new.predictor.predict_proba(real.X), atol=1e-9)


def test_without_a_change_nothing_is_stored(stored_model, predicted, home):
    results = recalibrate(draw_counts(predicted, predicted, np.random.default_rng(5)))
    with pytest.raises(PromotionError, match="not stored: for no drug"):
        recalibration.store(stored_model, results, None)
    assert not model_store.list_models()


def test_a_weight_that_becomes_too_large_is_refused(stored_model, shifted, home):
    results = recalibrate(shifted)
    huge = [of._replace(line=of.line.model_copy(update={"shift": 300.0})) if of.kept is None else of for of in results]
    with pytest.raises(model_store.StoredModelError, match="expected weights from"):
        recalibration.store(stored_model, huge, None)
    assert not model_store.list_models()
