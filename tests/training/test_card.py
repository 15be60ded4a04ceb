"""The card: its description of the data and of the model, and that it is correct."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES, WINDOWS
from drugpred.model_store import Card
from drugpred.training import card as card_module
from drugpred.training import configuration
from drugpred.training.card import build_card
from drugpred.training.classification_metrics import METRICS
from drugpred.training.evaluation import Evaluation

QUICK = configuration.read(Path(__file__).parents[1] / "quick.yaml")
CANNABIS = DRUGS.index("cannabis")

# Users within decade, year, month and week, as the study's authors count them.
USERS = {
    "alcohol": (1817, 1749, 1551, 1264),
    "amphetamines": (679, 436, 238, 163),
    "amyl_nitrite": (370, 133, 41, 17),
    "benzodiazepines": (769, 535, 299, 179),
    "caffeine": (1848, 1824, 1764, 1658),
    "cannabis": (1265, 999, 788, 648),
    "chocolate": (1850, 1840, 1786, 1490),
    "cocaine": (687, 417, 159, 60),
    "crack": (191, 79, 20, 11),
    "ecstasy": (751, 517, 240, 84),
    "heroin": (212, 118, 53, 29),
    "ketamine": (350, 208, 79, 37),
    "legal_highs": (762, 564, 241, 131),
    "lsd": (557, 380, 166, 69),
    "methadone": (417, 320, 171, 121),
    "mushrooms": (694, 434, 159, 44),
    "nicotine": (1264, 1060, 875, 767),
    "volatile_substances": (230, 95, 34, 21),
}


REFERENCE = {"accuracy": 0.8, "auc": 0.9}


@pytest.fixture(scope="module", autouse=True)
def reference():
    """Measuring the reference split takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(card_module, "reference_split", lambda *_: REFERENCE)
        yield


def invent(real, auc=0.8):
    """Return a card of figures that are given, not measured."""
    folds = {name: np.full((4, 18, 6), auc) for name in METRICS}
    folds["auc"][:, DRUGS.index("crack"), WINDOWS.index("day")] = np.nan
    folds["auc"][:, CANNABIS, WINDOWS.index("decade")] = auc + np.array([-0.02, 0.02, 0.0, 0.0])
    probabilities = np.random.default_rng(0).random((2, len(real), 18, 6))
    tested = np.tile(np.arange(len(real)) % 2, (2, 1))
    evaluation = Evaluation(real.last_use, probabilities, folds, tested)
    return build_card(real, QUICK, evaluation), evaluation


@pytest.fixture(scope="module")
def invented(real):
    return invent(real)


@pytest.fixture(scope="module")
def card(invented):
    return invented[0]


def test_base_rates_are_the_shares_of_users(card):
    assert tuple(card.drugs) == DRUGS == tuple(USERS)
    for drug, users in USERS.items():
        assert tuple(card.drugs[drug]) == WINDOWS
        shares = [card.drugs[drug][window].base_rate for window in ("decade", "year", "month", "week")]
        assert shares == pytest.approx([count / 1885 for count in users], abs=5.1e-5)


def test_thresholds_are_base_rates(card):
    cards = [window for windows in card.drugs.values() for window in windows.values()]
    assert len(cards) == 108
    assert all(window.threshold == window.base_rate for window in cards)
    assert all(window.threshold != 0.5 for window in cards)


def test_a_drug_is_reliable_with_enough_of_both_classes_and_a_model_that_distinguishes_them(card, real):
    assert card.drugs["cannabis"]["decade"].reliable
    assert not card.drugs["crack"]["month"].reliable  # 20 users
    assert not card.drugs["chocolate"]["decade"].reliable  # 35 non-users
    assert not any(window.reliable for windows in invent(real, 0.69)[0].drugs.values() for window in windows.values())


def test_a_real_model_is_not_reliable_for_drugs_that_it_cannot_predict(stored_model):
    drugs = stored_model.card.drugs
    for drug in ("alcohol", "caffeine", "chocolate"):
        assert not any(window.reliable for window in drugs[drug].values())
    assert drugs["cannabis"]["decade"].reliable
    assert sum(windows["decade"].reliable for windows in drugs.values()) == 15


def test_figures_that_cannot_be_measured_are_none(card):
    crack = card.drugs["crack"]["day"]
    assert crack.auc is None
    assert crack.brier == 0.8
    assert not crack.reliable


def test_intervals_are_those_of_the_evaluation(invented):
    card, evaluation = invented
    for i, drug in enumerate(DRUGS):
        for k, window in enumerate(WINDOWS):
            found = card.drugs[drug][window].intervals
            assert found == {
                name: tuple(bounds[i, k].round(4))
                for name, bounds in evaluation.intervals().items()
                if np.isfinite(bounds[i, k]).all()
            }
    # t(3) = 3.182446, s = .016330, and 1/J + n_test/n_train = 1.25
    assert card.drugs["cannabis"]["decade"].intervals["auc"] == pytest.approx((0.8 - 0.0581, 0.8 + 0.0581), abs=1e-4)
    assert "auc" not in card.drugs["crack"]["day"].intervals
    assert "brier" in card.drugs["crack"]["day"].intervals


def test_every_interval_is_of_a_figure(card, stored_model):
    for windows in (*card.drugs.values(), *stored_model.card.drugs.values()):
        for window in windows.values():
            for name, (low, high) in window.intervals.items():
                assert low <= getattr(window, name) <= high


def test_headline_figures_have_intervals_and_folds(invented, stored_model):
    card, evaluation = invented
    assert card.overall == evaluation.overall()
    assert card.overall_intervals == evaluation.overall_intervals()
    assert card.folds == {name: tuple(values) for name, values in evaluation.overall_folds().items()}
    for each, n in ((card, 4), (stored_model.card, QUICK.cross_validation.folds * QUICK.cross_validation.repeats)):
        assert set(each.overall) == set(each.overall_intervals) == set(each.folds)
        assert {len(values) for values in each.folds.values()} == {n}
        for name, (low, high) in each.overall_intervals.items():
            assert low <= each.overall[name] <= high


def test_every_drug_has_a_ranked_probability_score(invented, stored_model):
    card, evaluation = invented
    assert card.ranked_probability_scores == evaluation.ranked_probability_scores()
    scores = stored_model.card.ranked_probability_scores
    assert tuple(scores) == DRUGS
    assert np.mean(list(scores.values())) == pytest.approx(stored_model.card.overall["ranked_probability_score"])
    # It is easier to predict that crack was never used than when nicotine was last used.
    assert scores["crack"] < scores["nicotine"]


def test_a_tracked_run_is_named(real, invented):
    assert build_card(real, QUICK, invented[1], "abc").run_id == "abc"


def test_input_bins_are_shares_of_the_data(card, real):
    assert tuple(card.input_bins) == INPUTS
    for category in CATEGORIES:
        bins = card.input_bins[category.name]
        assert bins.labels == category.labels
        assert bins.edges == ()
        assert bins.shares == pytest.approx([count / 1885 for count in category.counts])
    for score in SCORES:
        shares_match(card.input_bins[score.name], real.frame[score.name].to_numpy())


def test_probability_bins_are_shares_of_the_cross_validated_probabilities(invented):
    card, evaluation = invented
    assert tuple(card.probability_bins) == DRUGS
    for i, drug in enumerate(DRUGS):
        bins = card.probability_bins[drug]
        shares_match(bins, evaluation.probabilities.mean(axis=0)[:, i, WINDOWS.index("decade")])
        assert bins.shares == pytest.approx([0.1] * 10, abs=0.001)


def shares_match(bins, values):
    """Count again: a value on an edge is of the bin below."""
    bounds = [-math.inf, *bins.edges, math.inf]
    counts = [((values > low) & (values <= high)).sum() for low, high in pairwise(bounds)]
    assert bins.shares == pytest.approx([count / len(values) for count in counts])
    assert sum(bins.shares) == pytest.approx(1)
    assert len(bins.labels) == len(bins.shares) == len(set(bins.labels))
    assert list(bins.edges) == sorted(set(bins.edges))


def test_the_card_describes_its_data(card, real):
    assert card.data.model_dump() == {
        "source": "uci",
        "sha256": real.sha256,
        "respondents": 1885,
        "overclaimers": "keep",
    }
    assert (card.inputs, card.windows) == (INPUTS, WINDOWS)
    assert card.configuration == QUICK.model_dump(mode="json")
    assert card.configuration["estimator"]["leave_out"] == []
    assert card.run_id is None
    assert (card.seed, card.estimator) == (QUICK.seed, QUICK.estimator.kind)
    assert card.reference_split == REFERENCE
    assert {"python", "numpy", "scikit-learn", "bentoml"} <= set(card.versions)
    assert card.created.endswith("+00:00")


def test_the_card_survives_json(card, stored_model):
    for original in (card, stored_model.card):
        assert Card.model_validate_json(original.model_dump_json()) == original


def test_a_card_of_few_respondents_survives_json(real):
    few = type(real)(real.frame.iloc[:12], "file", "")
    nothing = {name: np.full((2, 18, 6), np.nan) for name in METRICS}
    evaluation = Evaluation(few.last_use, np.full((1, 12, 18, 6), 0.5), nothing, np.arange(12)[np.newaxis] % 2)
    card = build_card(few, QUICK, evaluation)
    assert set(card.drugs["heroin"]["decade"].intervals) <= {"calibration_error"}
    assert set(card.overall_intervals) == set(card.folds) == {"decade_calibration_error", "ranked_probability_score"}
    assert Card.model_validate_json(card.model_dump_json()) == card
