"""The coverage study: a short form of it, and the results that are shipped."""

import io
from collections import defaultdict

import numpy as np
import pytest
from rich.console import Console

from drugpred.codebook import CATEGORIES, DRUGS
from drugpred.data.simulator import Cohort
from drugpred.training import configuration, coverage
from drugpred.training.tables import to_csv
from tests.harness import ROOT

SHIPPED = configuration.read(ROOT / "configs" / "train.yaml")
QUICK = configuration.read(ROOT / "tests" / "quick.yaml")
CONSOLE = Console(file=io.StringIO())


@pytest.fixture(scope="module")
def short(real):
    """One draw of the cohort, and a fit of seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage, "populations", lambda _: {"cohort": Cohort.load().predictor})
        return coverage.measure(real, QUICK, CONSOLE, draws=1)


def test_intervals_hold_known_probabilities_in_a_short_form(short):
    overall = short[0]
    assert overall[:3] == ("cohort", "everybody", "all")
    assert 0.9 <= overall.coverage <= 0.99
    assert overall.width <= 0.21
    by_people = {result.people: result for result in short if result.drug == "all"}
    assert min(result.coverage for result in by_people.values()) >= 0.8
    assert by_people["country: New Zealand"].width >= 2 * by_people["country: UK"].width
    assert by_people["country: New Zealand"].similar < by_people["country: UK"].similar / 5


def test_every_drug_and_every_level_has_a_result(short):
    assert [result.drug for result in short if result.people == "everybody"] == ["all", *DRUGS]
    people = {result.people for result in short}
    assert {f"{category.name}: {label}" for category in CATEGORIES for label in category.labels} < people
    assert people > {"scores far out", "uniform"}


def test_the_tables_have_them_all(short):
    by_drug, by_people = coverage.tables(short)
    assert [row[0] for row in by_drug.rows] == ["all", *DRUGS]
    assert by_people.rows[0][:2] == ("everybody", f"{short[0].coverage:.3f}")


def test_populations_have_probabilities_that_never_rise(real):
    for population in coverage.populations(real.__class__(real.frame[:300], real.source, real.sha256)).values():
        probabilities = population.predict_proba(real.X[:10])
        assert probabilities.shape == (10, 18, 6)
        assert (np.diff(probabilities) <= 0.0).all()


def test_the_shipped_results_are_as_good_as_is_promised():
    found = defaultdict(dict)
    for result in coverage.measured():
        assert result.drug == "all" or result.people == "everybody"
        found[result.population, "drug" if result.drug != "all" else "people"][
            result.drug if result.drug != "all" else result.people
        ] = result
    lowest = {
        name: {kind: min(result.coverage for result in found[name, kind].values()) for kind in ("drug", "people")}
        for name in ("cohort", "rough", "forest")
    }
    everybody = {name: found[name, "people"].pop("everybody") for name in lowest}
    assert 0.92 <= everybody["cohort"].coverage <= 0.98
    assert everybody["cohort"].width <= 0.2
    assert lowest["cohort"]["drug"] >= 0.88
    assert lowest["cohort"]["people"] >= 0.9
    for name in ("rough", "forest"):
        assert everybody[name].coverage >= 0.87
        assert lowest[name]["drug"] >= 0.78
        black = found[name, "people"].pop("ethnicity: Black")
        assert black.coverage >= 0.72
        assert min(result.coverage for result in found[name, "people"].values()) >= 0.8


def test_the_shipped_results_are_in_the_form_that_the_command_writes():
    content = to_csv(coverage.Result._fields, coverage.measured()).decode()
    shipped = (ROOT / "drugpred" / "training" / "coverage.csv").read_text("utf-8")
    assert [line.split(",")[:3] for line in content.splitlines()] == [
        line.split(",")[:3] for line in shipped.splitlines()
    ]


def test_the_card_has_the_coverage_of_the_shipped_configuration_alone():
    known = coverage.measured_for(SHIPPED, "uci")
    assert list(known) == ["cohort", "rough", "forest"]
    assert coverage.measured_for(SHIPPED.model_copy(update={"seed": 7}), "simulated") == known
    assert coverage.measured_for(SHIPPED, "file") is None
    assert coverage.measured_for(QUICK, "uci") is None


@pytest.mark.nightly
def test_the_shipped_results_can_be_repeated(real):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage, "populations", lambda _: {"cohort": Cohort.load().predictor})
        repeated = coverage.measure(real, SHIPPED, CONSOLE)
    shipped = [result for result in coverage.measured() if result.population == "cohort"]
    for found, expected in zip(repeated, shipped, strict=True):
        assert found[:3] == expected[:3]
        np.testing.assert_allclose(found[3:], expected[3:], atol=0.01, rtol=0.02)
