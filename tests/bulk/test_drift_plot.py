"""The picture of drift."""

from xml.etree import ElementTree as ET

import pytest

from drugpred.bulk import drift_plot
from drugpred.bulk.drift import Measured
from drugpred.codebook import DRUGS, INPUTS
from drugpred.monitoring import drift

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def measured(stored_model):
    """Drift of profiles of one country."""
    card = stored_model.card
    inputs, scores = (
        {name: [1000 * share for share in each.shares] for name, each in bins.items()}
        for bins in (card.input_bins, card.probability_bins)
    )
    inputs["country"] = [1000] + [0] * (len(inputs["country"]) - 1)
    return Measured(drift.measure(card, inputs, scores), inputs, scores, 0, {})


@pytest.fixture
def drawn(stored_model, measured):
    return drift_plot.draw("<a> & b", stored_model.card, measured)


def test_it_has_a_panel_of_each_variable(drawn):
    root = ET.fromstring(drawn)
    assert root.find(f"{SVG}title").text == "<a> & b"
    names = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "name"]
    assert names == [*INPUTS, *(f"P({drug})" for drug in DRUGS)]


def test_bars_are_as_high_as_shares(drawn, stored_model):
    root = ET.fromstring(drawn)
    groups = list(root.iter(f"{SVG}g"))
    shares = [
        (name, share)
        for name, bins in (stored_model.card.input_bins | stored_model.card.probability_bins).items()
        for share in bins.shares
    ]
    assert len(groups) == len(shares)
    for group, (name, share) in zip(groups, shares, strict=True):
        then, now = group.iter(f"{SVG}rect")
        assert f"training {share:.1%}, " in group.find(f"{SVG}title").text
        assert (now.get("class") == "moved") == (name == "country")
        if name == "age":
            highest = max(stored_model.card.input_bins["age"].shares)
            assert float(then.get("height")) == pytest.approx(84 * share / highest, abs=0.05)
            assert float(now.get("height")) == pytest.approx(float(then.get("height")), abs=0.11)


def test_without_profiles_there_are_the_respondents(stored_model):
    card = stored_model.card
    none = [
        {name: [0] * len(each.labels) for name, each in bins.items()}
        for bins in (card.input_bins, card.probability_bins)
    ]
    root = ET.fromstring(drift_plot.draw("none", card, Measured(drift.measure(card, *none), *none, 0, {})))
    assert {bar.get("height") for bar in root.iter(f"{SVG}rect") if bar.get("class") == "now"} == {"10", "0.0"}


def test_a_page_holds_it(drawn, stored_model, measured, tmp_path):
    drift_plot.write(tmp_path / "drift.html", "<a> & b", stored_model.card, measured)
    page = (tmp_path / "drift.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "<title>&lt;a&gt; &amp; b</title>" in page
    assert drawn in page
