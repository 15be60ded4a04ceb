"""Explanations against the definition of Shapley values, on networks drawn at random and on the trained one."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from math import factorial

import numpy as np
import pytest
import skops.io

from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES, WINDOWS
from drugpred.errors import StoredModelError
from drugpred.explanation import PAIRS, Explainer
from drugpred.predictor import Predictor
from drugpred.training.estimators import TRUSTED

SIZES = [len(category.labels) for category in CATEGORIES]
N_COLUMNS = sum(SIZES) + len(SCORES)
SHAPE = (len(DRUGS), len(WINDOWS))
OPENNESS, AGREEABLENESS = INPUTS.index("openness"), INPUTS.index("agreeableness")


def draw_arrays(seed, n_hidden=8, scale=1.0):
    rng = np.random.default_rng(seed)
    shapes = {
        "inputs": (N_COLUMNS, n_hidden),
        "bias": (n_hidden,),
        "outputs": (n_hidden, np.prod(SHAPE)),
        "output_bias": (np.prod(SHAPE),),
        "direct": (N_COLUMNS, np.prod(SHAPE)),
    }
    arrays = {name: rng.normal(0, 0.1, shape) for name, shape in shapes.items()}
    return arrays | {name: scale * rng.normal(0, 1, shapes[name]) for name in ("inputs", "bias")}


def in_order(arrays):
    """The same network with log-odds so far apart that none is ever moved to the place of another window."""
    return arrays | {"output_bias": np.tile(-100.0 * np.arange(len(WINDOWS)), len(DRUGS))}


def draw_rows(seed, n):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, size, n) for size in SIZES]
    scores = [rng.uniform(score.lowest, score.highest, n) for score in SCORES]
    return np.column_stack([*codes, *scores]).astype(np.float64)


def encode(rows):
    """Design columns, made another way than the predictor makes them."""
    levels = [np.eye(size)[rows[:, i].astype(int)] for i, size in enumerate(SIZES)]
    return np.hstack([*levels, rows[:, len(SIZES) :]])


def network(arrays, encode=encode):
    """The log-odds of a network's arrays, the windows of a drug not put in order."""

    def log_odds(rows):
        columns = encode(rows)
        hidden = np.tanh(columns @ arrays["inputs"] + arrays["bias"])
        return (hidden @ arrays["outputs"] + arrays["output_bias"] + columns @ arrays["direct"]).reshape(-1, *SHAPE)

    return log_odds


def by_definition(log_odds, person, background):
    """Base and Shapley values of the estimate in each window's place, from the log-odds of all 4096 coalitions."""
    n = len(INPUTS)
    members = np.arange(2**n)
    inside = members[:, np.newaxis] >> np.arange(n) & 1
    mixed = np.where(inside[:, np.newaxis], person, background)
    values = log_odds(mixed.reshape(-1, n)).reshape(*mixed.shape[:2], *SHAPE).mean(axis=1)
    weights = np.array([factorial(k) * factorial(n - 1 - k) / factorial(n) for k in range(n)])
    contributions = np.zeros((*SHAPE, n))
    for i in range(n):
        without = members[inside[:, i] == 0]
        gains = values[without | 1 << i] - values[without]
        contributions[:, :, i] = np.tensordot(weights[inside[without].sum(axis=1)], gains, 1)
    order = np.argsort(-values[-1], axis=1)
    return np.take_along_axis(values[0], order, 1), np.take_along_axis(contributions, order[:, :, np.newaxis], 1)


def logit(probabilities):
    return np.log(probabilities) - np.log1p(-probabilities)


def agree(explained, expected):
    for array, other in zip(explained, expected, strict=True):
        np.testing.assert_allclose(array, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("n_hidden", [0, 1, 8, 21])
@pytest.mark.parametrize("size", [1, 3])
def test_contributions_are_shapley_values_by_definition(n_hidden, size):
    arrays, background = draw_arrays(0, n_hidden), draw_rows(1, size)
    explainer = Explainer(Predictor(**arrays), background)
    for person in draw_rows(2, 2):
        agree(explainer.explain(person), by_definition(network(arrays), person, background))


def test_contributions_of_the_trained_model_are_shapley_values_by_definition(stored_model, real):
    pipeline = skops.io.load(stored_model.path / "pipeline.skops", trusted=TRUSTED)
    arrays = {name: array.astype(np.float64) for name, array in pipeline[-1].arrays().items()}
    background = np.load(stored_model.path / "background.npy")[:4]
    explainer = Explainer(stored_model.predictor, background)
    for person in real.X[[5, 1000]]:
        agree(explainer.explain(person), by_definition(network(arrays, pipeline[0].transform), person, background))


@pytest.mark.parametrize("scale", [30.0, 1e3, 1e200])
def test_contributions_are_exact_where_exponentials_overflow(scale):
    arrays, background = draw_arrays(3, scale=scale), draw_rows(4, 2)
    person = draw_rows(5, 1)[0]
    agree(
        Explainer(Predictor(**arrays), background).explain(person), by_definition(network(arrays), person, background)
    )


def test_base_and_contributions_sum_up_to_the_served_log_odds(stored_model, real):
    rows = real.X[::9]
    expected = logit(stored_model.predictor.predict_proba(rows))
    for row, log_odds in zip(rows, expected, strict=True):
        base, contributions = stored_model.explainer.explain(row)
        assert np.abs(base + contributions.sum(axis=2) - log_odds).max() < 1e-9


def test_they_do_so_where_windows_are_put_in_order():
    arrays, rows = draw_arrays(6), draw_rows(7, 20)
    predictor = Predictor(**arrays)
    moved = logit(predictor.predict_proba(rows)) != pytest.approx(network(arrays)(rows), abs=1e-6)
    assert moved
    explainer = Explainer(predictor, draw_rows(8, 3))
    for row, log_odds in zip(rows, logit(predictor.predict_proba(rows)), strict=True):
        base, contributions = explainer.explain(row)
        np.testing.assert_allclose(base + contributions.sum(axis=2), log_odds, rtol=0, atol=1e-9)


def test_interactions_are_the_index_by_definition():
    arrays, background, row = draw_arrays(3), draw_rows(1, 3), draw_rows(2, 1)[0]
    log_odds = network(arrays)

    def value(inside):
        mixed = background.copy()
        mixed[:, list(inside)] = row[list(inside)]
        return log_odds(mixed).mean(axis=0)

    pair = (INPUTS.index("age"), OPENNESS)
    others = [i for i in range(len(INPUTS)) if i not in pair]
    expected = np.zeros(SHAPE)
    for size in range(len(others) + 1):
        weight = factorial(size) * factorial(len(others) - size) / factorial(len(others) + 1)
        for chosen in combinations(others, size):
            together = value({*chosen, *pair}) + value(chosen)
            expected += weight * (together - value({*chosen, pair[0]}) - value({*chosen, pair[1]}))
    found = Explainer(Predictor(**arrays), background).interactions(row)
    assert found.shape == (*SHAPE, 66)
    assert found[:, :, PAIRS.index(pair)] == pytest.approx(expected, abs=1e-9)


def test_the_base_is_the_mean_log_odds_of_the_background():
    arrays, background = in_order(draw_arrays(9)), draw_rows(10, 7)
    base, _ = Explainer(Predictor(**arrays), background).explain(draw_rows(11, 1)[0])
    np.testing.assert_allclose(base, network(arrays)(background).mean(axis=0), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_on_which_nothing_depends_contributes_nothing(name):
    place = INPUTS.index(name)
    of_it = np.repeat(np.arange(len(INPUTS)), [*SIZES, *[1] * len(SCORES)]) == place
    arrays = draw_arrays(12)
    # The same weight at every level is no dependence either.
    arrays |= {
        key: np.where(of_it[:, np.newaxis], 0.3 * (place < len(SIZES)), arrays[key]) for key in ("inputs", "direct")
    }
    _, contributions = Explainer(Predictor(**arrays), draw_rows(13, 5)).explain(draw_rows(14, 1)[0])
    assert np.abs(contributions[:, :, place]).max() < 1e-12
    assert (np.abs(np.delete(contributions, place, axis=2)).max(axis=(0, 1)) > 1e-3).all()


def test_inputs_that_do_the_same_contribute_the_same():
    arrays, person, background = draw_arrays(15), draw_rows(16, 1)[0], draw_rows(17, 5)
    first, second = (sum(SIZES) + place - len(SIZES) for place in (OPENNESS, AGREEABLENESS))
    for key in ("inputs", "direct"):
        arrays[key][second] = arrays[key][first]
    for rows in (person, background):
        rows[..., AGREEABLENESS] = rows[..., OPENNESS]
    _, contributions = Explainer(Predictor(**arrays), background).explain(person)
    np.testing.assert_allclose(contributions[..., AGREEABLENESS], contributions[..., OPENNESS], rtol=0, atol=1e-12)
    assert np.abs(contributions[..., OPENNESS]).max() > 1e-3


def test_an_additive_input_contributes_its_distance_from_the_mean():
    arrays = in_order(draw_arrays(18))
    arrays["outputs"][...] = 0
    person, background = draw_rows(19, 1), draw_rows(20, 6)
    _, contributions = Explainer(Predictor(**arrays), background).explain(person[0])
    distance = encode(person)[0] - encode(background).mean(axis=0)
    starts = np.cumsum([0, *SIZES, *[1] * (len(SCORES) - 1)])
    expected = np.add.reduceat(distance[:, np.newaxis] * arrays["direct"], starts).T.reshape(*SHAPE, -1)
    np.testing.assert_allclose(contributions, expected, rtol=0, atol=1e-12)


def test_a_person_compared_with_the_same_is_not_moved():
    person = draw_rows(21, 1)
    _, contributions = Explainer(Predictor(**draw_arrays(22)), np.repeat(person, 3, axis=0)).explain(person[0])
    assert np.abs(contributions).max() < 1e-12


def test_threads_do_not_affect_each_other(stored_model):
    rows = draw_rows(23, 40)
    alone = [stored_model.explainer.explain(row) for row in rows]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(stored_model.explainer.explain, rows))
    for one, other in zip(alone, together, strict=True):
        agree(one, other)


@pytest.mark.parametrize(
    "background",
    [
        np.zeros(12),
        np.zeros((0, 12)),
        np.zeros((3, 11)),
        np.zeros((1, 3, 12)),
        np.full((3, 12), np.nan),
        np.full((3, 12), np.inf),
    ],
    ids=["a row", "no row", "an input less", "a dimension more", "nan", "infinite"],
)
def test_a_background_of_another_kind_is_refused(background, tmp_path):
    predictor, path = Predictor(**draw_arrays(0)), tmp_path / "background.npy"
    np.save(path, background)
    for make in (lambda: Explainer(predictor, background), lambda: Explainer.load(path, predictor)):
        with pytest.raises(StoredModelError, match="expected a background of finite rows, each of 12 inputs"):
            make()


class Trap:
    """Shows that it was unpickled."""

    sprung = False

    def __reduce__(self):
        return setattr, (Trap, "sprung", True)


@pytest.mark.parametrize("content", [None, b"", b"no array", pickle.dumps(Trap()), "objects", "zip", "truncated"])
def test_a_file_without_an_array_is_refused_by_name_and_never_run(content, tmp_path):
    path = tmp_path / "background.npy"
    if content == "objects":
        np.save(path, np.array([Trap()]), allow_pickle=True)
    elif content == "zip":
        with path.open("wb") as file:
            np.savez(file, rows=np.zeros((3, 12)))
    elif content == "truncated":
        np.save(path, np.zeros((3, 12)))
        path.write_bytes(path.read_bytes()[:-1])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(StoredModelError, match=r"background\.npy is not a readable background"):
        Explainer.load(path, Predictor(**draw_arrays(0)))
    assert not Trap.sprung
