"""The comparison of two models' losses on the same people."""

import numpy as np
import pytest

from drugpred.monitoring.comparison import ALPHA, MIN_PEOPLE, compare, compare_losses, radius
from tests.harness import NIGHTLY

RUNS = 1000 if NIGHTLY else 100
PEOPLE = 3000


def test_without_people_there_is_no_figure():
    assert set(compare(0, 0, 0, 0).model_dump().values()) == {None}


def test_it_is_the_paired_difference_with_its_error():
    rng = np.random.default_rng(1)
    served, challenger = rng.random((2, 700))
    found = compare_losses(served, challenger)
    difference = challenger - served
    assert found.served == pytest.approx(served.mean(), abs=1e-12)
    assert found.challenger == pytest.approx(challenger.mean(), abs=1e-12)
    assert found.difference == pytest.approx(difference.mean(), abs=1e-12)
    assert found.error == pytest.approx(difference.std() / 700**0.5, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(
        (difference.mean() - radius(700, difference.var()), difference.mean() + radius(700, difference.var()))
    )


def test_few_people_decide_nothing():
    assert compare_losses(np.ones(MIN_PEOPLE - 1), np.zeros(MIN_PEOPLE - 1)).verdict is None
    assert compare_losses(np.ones(MIN_PEOPLE), np.zeros(MIN_PEOPLE)).verdict == "better"
    assert compare_losses(np.zeros(MIN_PEOPLE), np.ones(MIN_PEOPLE)).verdict == "worse"


def test_models_with_the_same_losses_are_undecided():
    assert compare_losses(np.ones(500), np.ones(500)).verdict == "undecided"


def verdicts(served_error, challenger_error):
    """Return each run's first verdict when somebody looks after each tenth person, of models that are off by an error.

    A person has 18 drugs with the probabilities of a logistic normal; the error is that of the log-odds.
    """
    rng = np.random.default_rng(20)
    found = []
    for _ in range(RUNS):
        log_odds = rng.normal(-1, 1.5, (PEOPLE, 18))
        used = rng.random((PEOPLE, 18)) < 1 / (1 + np.exp(-log_odds))
        losses = []
        for error in (served_error, challenger_error):
            predicted = 1 / (1 + np.exp(-log_odds - error * rng.normal(0, 1, (PEOPLE, 18))))
            losses.append(((predicted - used) ** 2).mean(1))
        served, challenger = (each.cumsum() for each in losses)
        squares = ((losses[1] - losses[0]) ** 2).cumsum()
        looks = (
            compare(n + 1, served[n], challenger[n], squares[n]).verdict for n in range(MIN_PEOPLE - 1, PEOPLE, 10)
        )
        found.append(next((look for look in looks if look != "undecided"), "undecided"))
    return found


def test_equal_models_seem_different_in_no_more_runs_than_stated():
    decided = RUNS - verdicts(0.5, 0.5).count("undecided")
    assert decided <= ALPHA * RUNS


@pytest.mark.parametrize(("errors", "verdict"), [((0.6, 0.3), "better"), ((0.3, 0.6), "worse")])
def test_a_better_and_a_worse_challenger_are_found(errors, verdict):
    assert verdicts(*errors).count(verdict) >= (1 - ALPHA) * RUNS
