"""Shifted cohorts: the shifted input moves by the given strength, and rows stay valid."""

from statistics import NormalDist

import numpy as np
import pytest

from drugpred import tabular
from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.data.distribution_shift import LABEL_NOISE, SHIFTS, draw, mislabel, shift
from drugpred.data.simulator import CHUNK_ROWS, Cohort
from drugpred.monitoring.binning import Binning
from drugpred.monitoring.drift import population_stability_index, quantile

N = 10_000
AGE, IMPULSIVITY = INPUTS.index("age"), INPUTS.index("impulsivity")
MOVES = [name for name in SHIFTS if name != LABEL_NOISE]


@pytest.fixture(scope="module")
def rows():
    return Cohort.load().rows(N, np.random.default_rng(5))


@pytest.fixture
def rng():
    return np.random.default_rng(6)


@pytest.mark.parametrize("strength", [-1000.0, -0.5, 0.0, 0.5, 1000.0])
@pytest.mark.parametrize("name", MOVES)
def test_every_row_is_a_possible_profile(rows, rng, name, strength):
    before = rows.copy()
    moved = shift(rows, name, strength, rng)
    assert np.array_equal(rows, before)
    assert np.array_equal(tabular.encode(dict(zip(INPUTS, moved.T, strict=True))), moved)
    for values, column in zip(moved.T, (*CATEGORIES, *SCORES), strict=True):
        assert set(values) <= set(range(len(column.labels)) if column in CATEGORIES else column.values)


@pytest.mark.parametrize("strength", [-0.3, 0.1, 0.3])
@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_a_score_moves_by_standard_deviations_and_nothing_else_does(rows, rng, score, strength):
    place = INPUTS.index(score.name)
    moved = shift(rows, score.name, strength, rng)
    change = moved - rows
    # At the ends of a scale nobody can move on.
    assert change[:, place].mean() == pytest.approx(strength * rows[:, place].std(), rel=0.15)
    assert not np.delete(change, place, axis=1).any()


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_a_category_moves_along_its_published_values(rows, rng, category):
    place, order = INPUTS.index(category.name), np.argsort(category.values)
    before, after = (
        np.bincount(each[:, place].astype(int), minlength=len(order))[order] / N
        for each in (rows, shift(rows, category.name, 0.3, rng))
    )
    # Fewer up to every level; and the whole has moved by about .3 of the latent variable.
    assert (after.cumsum()[:-1] < before.cumsum()[:-1]).all()
    middles = [NormalDist().inv_cdf(share) for share in before.cumsum() - before / 2]
    assert 0.1 < (after - before) @ middles < 0.4


def test_older_people_resemble_the_old(rows, rng):
    moved = shift(rows, "older", 0.6, rng)
    for level in range(len(CATEGORIES[0].labels)):
        old, new = (each[each[:, AGE] == level, IMPULSIVITY] for each in (rows, moved))
        assert abs(old.mean() - new.mean()) < 4 * old.std() * np.sqrt(1 / len(old) + 2 / len(new)) + 1e-9
    assert moved[:, IMPULSIVITY].mean() < rows[:, IMPULSIVITY].mean() - 0.05


@pytest.mark.parametrize(("name", "of"), [("older", "age"), ("impulsive", "impulsivity")])
def test_names_say_which_way(rows, name, of):
    one, other = (shift(rows, each, 0.5, np.random.default_rng(1)) for each in (name, of))
    assert np.array_equal(one, other)
    place = INPUTS.index(of)
    assert one[:, place].mean() > rows[:, place].mean()


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_noise_replaces_classes_evenly_by_others(rng, probability):
    last_use = rng.integers(0, 7, (N, 18), np.int8)
    noisy = mislabel(last_use, probability, rng)
    assert noisy.dtype == np.int8
    assert (noisy != last_use).mean() == pytest.approx(probability, abs=0.005)
    for step in range(1, 7):
        assert ((noisy - last_use) % 7 == step).mean() == pytest.approx(probability / 6, abs=0.003)


def drawn(n, seed, shifts):
    return [np.concatenate(each) for each in zip(*draw(n, seed, shifts), strict=True)]


def test_without_a_shift_it_is_the_cohort():
    ((rows, last_use),) = Cohort.load().draw(300, 3)
    found = drawn(300, 3, {})
    assert np.array_equal(found[0], rows)
    assert np.array_equal(found[1], last_use)


def test_a_longer_draw_begins_with_the_shorter():
    shifts = {"country": 0.5, "impulsive": 0.5, LABEL_NOISE: 0.1}
    short, long = drawn(CHUNK_ROWS - 1, 3, shifts), drawn(CHUNK_ROWS + 2, 3, shifts)
    for shorter, longer in zip(short, long, strict=True):
        assert len(shorter) == CHUNK_ROWS - 1
        assert len(longer) == CHUNK_ROWS + 2
        assert np.array_equal(shorter, longer[: CHUNK_ROWS - 1])


def test_drugs_follow_the_moved_inputs():
    rows, last_use = drawn(CHUNK_ROWS, 3, {"country": -1.0})
    expected = Cohort.load().predictor.predict_proba(rows).mean(axis=0)
    observed = (last_use[:, :, np.newaxis] > np.arange(6)).mean(axis=0)
    assert np.abs(observed - expected).max() < 0.015
    assert last_use.mean() > drawn(CHUNK_ROWS, 3, {})[1].mean() + 0.2


@pytest.mark.parametrize("strength", [-0.5, 0.5])
@pytest.mark.parametrize("name", INPUTS)
def test_a_shift_is_drift_of_its_input(stored_model, rows, rng, name, strength):
    def ratio(profiles):
        bins = stored_model.card.input_bins[name]
        counts = Binning(stored_model.card.input_bins)
        psi = population_stability_index(counts.by_name(counts.count(profiles.T))[name], 1885 * np.array(bins.shares))
        return psi / ((1 / N + 1 / 1885) * quantile(len(bins.labels)))

    assert ratio(rows) < 1
    assert ratio(shift(rows, name, strength, rng)) > 1
