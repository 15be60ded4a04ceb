"""Fairness by group: figures that can be checked by hand, and nothing of groups that are too small."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from drugpred import codebook
from drugpred.data.respondents import simulate
from drugpred.training.evaluation import Evaluation
from drugpred.training.fairness import MIN_PEOPLE, MIN_PER_OUTCOME, MIN_SHOWN, by_group, is_disclosable, thresholds

DECADE = codebook.WINDOWS.index("decade")
CANNABIS = codebook.DRUGS.index("cannabis")


def evaluation_of(last_use, repeats=2, seed=0):
    """Return probabilities that know a little, as if by two folds of each repeat."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(repeats, len(last_use), 18, 1))
    levels = last_use[:, :, np.newaxis] - np.arange(6)
    probabilities = 1 / (1 + np.exp(-(levels - 0.5 + 3 * noise)))
    return Evaluation(last_use, probabilities, {}, rng.integers(0, 2, (repeats, len(last_use))))


@pytest.fixture(scope="module")
def people():
    return simulate(1000, 5)


@pytest.fixture(scope="module")
def evaluation(people):
    return evaluation_of(people.last_use)


@pytest.fixture(scope="module")
def groups(evaluation, people):
    return by_group(evaluation, people.X)


def find(groups, attribute, label, drug="cannabis"):
    (group,) = [group for group in groups if (group.drug, group.attribute, group.label) == (drug, attribute, label)]
    return group


def test_every_group_of_the_four_attributes_is_there_for_every_drug(groups):
    expected = [("all", "all")]
    for category in (codebook.GENDER, codebook.AGE, codebook.ETHNICITY, codebook.COUNTRY):
        expected += [(category.name, label) for label in category.labels]
    expected.insert(expected.index(("ethnicity", "White")) + 1, ("ethnicity", "all but White"))
    assert [(group.drug, group.attribute, group.label) for group in groups] == [
        (drug, *group) for drug in codebook.DRUGS for group in expected
    ]


def test_figures_are_those_of_the_groups_members(groups, evaluation, people):
    women = people.X[:, codebook.INPUTS.index("gender")] == codebook.GENDER.codes["Female"]
    users = people.last_use[women, CANNABIS] > DECADE
    said = evaluation.probabilities[:, women, CANNABIS, DECADE]
    predicted = said >= thresholds(evaluation)[:, women, CANNABIS]
    group = find(groups, "gender", "Female")
    assert group.people == women.sum()
    expected = {
        "base_rate": users.mean(),
        "auc": np.mean([roc_auc_score(users, repeat) for repeat in said]),
        "selection_rate": predicted.mean(),
        "true_positive_rate": predicted[:, users].mean(),
        "false_positive_rate": predicted[:, ~users].mean(),
        "calibration_gap": said.mean() - users.mean(),
    }
    assert {name: estimate.value for name, estimate in group.figures._asdict().items()} == pytest.approx(expected)
    assert all(estimate.low < estimate.value < estimate.high for estimate in group.figures)


def test_everybody_is_a_group_to_compare_with(groups, people):
    everybody = find(groups, "all", "all")
    assert everybody.people == len(people)
    assert everybody.figures.base_rate.value == pytest.approx((people.last_use[:, CANNABIS] > DECADE).mean())


def test_small_ethnic_groups_are_measured_together_as_well(groups, people):
    codes = people.X[:, codebook.INPUTS.index("ethnicity")]
    assert find(groups, "ethnicity", "all but White").people == (codes != codebook.ETHNICITY.codes["White"]).sum()


def test_the_threshold_knows_nothing_of_whom_it_is_for(evaluation):
    found = thresholds(evaluation)
    users = evaluation.last_use[:, CANNABIS] > DECADE
    for repeat, tested in zip(found, evaluation.tested, strict=True):
        for fold in (0, 1):
            assert repeat[tested == fold, CANNABIS] == pytest.approx(users[tested != fold].mean())


def test_without_folds_the_threshold_is_the_share_of_all(evaluation):
    found = thresholds(Evaluation(evaluation.last_use, evaluation.probabilities, {}))
    assert found.shape == evaluation.probabilities.shape[:3]
    assert found[..., CANNABIS] == pytest.approx((evaluation.last_use[:, CANNABIS] > DECADE).mean())


def test_a_gap_above_zero_is_overestimation(people):
    low = evaluation_of(people.last_use)
    high = Evaluation(low.last_use, np.ones_like(low.probabilities), {}, low.tested)
    gap = find(by_group(high, people.X), "gender", "Male").figures.calibration_gap
    assert gap.value > 0.1
    assert gap.low > 0


def placed(people, column, counts):
    """Return respondents' rows with `counts` of them at the levels of a category."""
    X = people.X.copy()
    X[:, codebook.INPUTS.index(column)] = np.repeat(np.arange(len(counts)), counts)
    return X


def test_small_groups_have_no_figures_and_the_smallest_no_size(people, evaluation):
    X = placed(people, "country", [29, 9, 0, 60, 0, 502, 400])
    groups = by_group(evaluation, X)
    shown = {label: find(groups, "country", label) for label in codebook.COUNTRY.labels}
    assert {label: group.people for label, group in shown.items()} == {
        "Australia": 29,
        "Canada": None,
        "New Zealand": None,
        "Other": 60,
        "Republic of Ireland": None,
        "UK": 502,
        "USA": 400,
    }
    assert [label for label, group in shown.items() if group.figures] == ["Other", "UK", "USA"]


def test_groups_of_few_users_or_few_others_have_no_figures(people):
    last_use = people.last_use.copy()
    X = placed(people, "gender", [500, 500])
    last_use[:500, CANNABIS] = np.repeat([6, 0], [9, 491])
    last_use[500:, CANNABIS] = np.repeat([6, 0], [490, 10])
    groups = by_group(evaluation_of(last_use), X)
    assert find(groups, "gender", "Female").figures is None
    assert find(groups, "gender", "Female").people == 500
    assert find(groups, "gender", "Male").figures is not None


def test_a_small_group_cannot_be_found_by_subtraction(people, evaluation):
    groups = by_group(evaluation, placed(people, "country", [100, 5, 0, 200, 0, 295, 400]))
    is_disclosable = [label for label in codebook.COUNTRY.labels if find(groups, "country", label).figures]
    assert is_disclosable == ["Other", "UK", "USA"]  # not Australia: the total less all others would reveal the five


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=7))
def test_nothing_is_disclosed_about_few_people_for_any_groups(kinds):
    users, others = np.array(kinds).T
    sizes = users + others
    shown = is_disclosable(sizes, users)
    assert (sizes[shown] >= MIN_PEOPLE).all()
    assert (np.minimum(users, others)[shown] >= MIN_PER_OUTCOME).all()
    untold = sizes[~shown].sum()
    assert untold == 0 or untold >= MIN_SHOWN or not shown.any()


def test_on_the_real_data_the_groups_are_measured_as_known(stored_model):
    """Of cannabis: women .65/.15, men .87/.24, UK .51/.12, USA .98/.88; the quick model is a little worse."""
    rows = list(csv.DictReader((stored_model.path / "report" / "groups.csv").read_text(encoding="utf-8").splitlines()))
    of = {row["label"]: row for row in rows if row["drug"] == "cannabis"}
    expected = {"Female": (0.65, 0.15), "Male": (0.87, 0.24), "UK": (0.51, 0.12), "USA": (0.98, 0.88)}
    for label, rates in expected.items():
        found = float(of[label]["true_positive_rate"]), float(of[label]["false_positive_rate"])
        assert found == pytest.approx(rates, abs=0.05)
        assert abs(float(of[label]["calibration_gap"])) < 0.03
    assert of["New Zealand"]["people"] == ""
    assert of["65+"]["people"] == "18"
    assert of["65+"]["auc"] == ""
