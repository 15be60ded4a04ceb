"""The simulated cohort that ships: it is like the real respondents, and none of them."""

from importlib.resources import files

import numpy as np
import pytest

from drugpred.codebook import CATEGORIES, COUNTRY, DRUGS, INPUTS, SCORES, WINDOWS
from drugpred.data.respondents import simulate
from drugpred.data.simulator import CHUNK_ROWS, Cohort

N = 20_000
DECADE, YEAR = WINDOWS.index("decade"), WINDOWS.index("year")

# Published correlations of use within a decade.
STRONGEST = {
    ("lsd", "mushrooms"): 0.680,
    ("cocaine", "ecstasy"): 0.633,
    ("ecstasy", "lsd"): 0.599,
    ("ecstasy", "mushrooms"): 0.599,
    ("amphetamines", "ecstasy"): 0.597,
    ("ecstasy", "legal_highs"): 0.586,
    ("amphetamines", "cocaine"): 0.580,
    ("legal_highs", "mushrooms"): 0.575,
    ("cannabis", "nicotine"): 0.533,
    ("cannabis", "legal_highs"): 0.526,
    ("heroin", "crack"): 0.509,
    ("heroin", "methadone"): 0.494,
    ("benzodiazepines", "methadone"): 0.468,
}


@pytest.fixture(scope="module")
def drawn():
    return simulate(N, 7)


@pytest.mark.parametrize("column", [*CATEGORIES, *SCORES], ids=INPUTS)
def test_every_level_has_its_published_share(drawn, column):
    values = drawn.frame[column.name].to_numpy()
    levels = range(len(column.values)) if column in CATEGORIES else column.values
    assert set(values) <= set(levels)
    for level, count in zip(levels, column.counts, strict=True):
        share = count / 1885
        error = np.sqrt(share * (1 - share) / N)
        assert abs((values == level).mean() - share) < 4.5 * error


@pytest.mark.parametrize("window", [DECADE, YEAR])
def test_as_many_use_each_drug(drawn, real, window):
    gap = (drawn.last_use > window).mean(axis=0) - (real.last_use > window).mean(axis=0)
    assert np.abs(gap).max() < 0.03


def test_drugs_go_together_as_published(drawn):
    used = {drug: drawn.last_use[:, i] > DECADE for i, drug in enumerate(DRUGS)}
    for (one, other), published in STRONGEST.items():
        assert np.corrcoef(used[one], used[other])[0, 1] == pytest.approx(published, abs=0.08)


def test_scores_go_together_as_in_the_real_data(drawn, real):
    gap = np.corrcoef(drawn.X[:, 5:], rowvar=False) - np.corrcoef(real.X[:, 5:], rowvar=False)
    assert np.abs(gap).max() < 0.05


@pytest.mark.parametrize(("drug", "uk", "usa"), [("cannabis", 0.48, 0.95), ("heroin", 0.03, 0.26), ("lsd", 0.10, 0.56)])
def test_countries_differ_as_in_the_real_data(drawn, drug, uk, usa):
    used = drawn.last_use[:, DRUGS.index(drug)] > DECADE
    for country, share in (("UK", uk), ("USA", usa)):
        there = drawn.frame["country"] == COUNTRY.code(country)
        assert used[there].mean() == pytest.approx(share, abs=0.06)


def test_simulated_respondents_say_so(drawn):
    assert drawn.source == "simulated"
    assert (drawn.frame.index[0], drawn.frame.index[-1]) == ("sim-1", f"sim-{N}")
    assert (drawn.frame["semeron"] == 0).all()


def test_the_seed_decides_the_respondents():
    one, same, other = simulate(50, 1), simulate(50, 1), simulate(50, 2)
    assert one.frame.equals(same.frame)
    assert one.sha256 == same.sha256
    assert not np.array_equal(one.X, other.X)
    assert one.sha256 != other.sha256


def draw(n):
    rows, last_use = zip(*Cohort.load().draw(n, 3), strict=True)
    return np.concatenate(rows), np.concatenate(last_use)


@pytest.fixture(scope="module")
def long():
    return draw(CHUNK_ROWS + 2)


@pytest.mark.parametrize("n", [1, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_a_longer_draw_begins_with_the_shorter(long, n):
    for shorter, longer in zip(draw(n), long, strict=True):
        assert len(shorter) == n
        assert np.array_equal(shorter, longer[:n])


def test_last_use_follows_the_probabilities():
    cohort = Cohort.load()
    one = np.repeat(cohort.rows(1, np.random.default_rng(0)), N, axis=0)
    last_use = cohort.last_use(one, np.random.default_rng(1))
    shares = (last_use[:, :, np.newaxis] > np.arange(6)).mean(axis=0)
    assert np.abs(shares - cohort.predictor.predict_proba(one[:1])[0]).max() < 0.015


def test_the_shipped_cohort_holds_no_respondent_and_no_code(records_in):
    shipped = files("drugpred.data") / "cohort.npz"
    assert records_in(shipped.read_bytes()) == []
    with shipped.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        assert {arrays[name].dtype for name in arrays} == {np.dtype(np.float32)}
        assert sum(arrays[name].nbytes for name in arrays) < 100_000


def test_nobody_drawn_is_a_real_respondent(drawn, real):
    known = {row.tobytes() for row in real.X}
    assert not any(row.tobytes() in known for row in drawn.X)
