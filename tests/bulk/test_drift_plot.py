"""The picture of drift."""

import re
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


def test_bars_are_as_long_as_shares(drawn, stored_model):
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
            assert float(then.get("width")) == pytest.approx(122 * share / highest, abs=0.05)
            assert float(now.get("width")) == pytest.approx(float(then.get("width")), abs=0.11)


def test_without_profiles_there_are_the_respondents(stored_model):
    card = stored_model.card
    none = [
        {name: [0] * len(each.labels) for name, each in bins.items()}
        for bins in (card.input_bins, card.probability_bins)
    ]
    root = ET.fromstring(drift_plot.draw("none", card, Measured(drift.measure(card, *none), *none, 0, {})))
    assert {bar.get("width") for bar in root.iter(f"{SVG}rect") if bar.get("class") == "now"} == {"10", "0.0"}


def test_a_page_holds_it(drawn, stored_model, measured, tmp_path):
    drift_plot.write(tmp_path / "drift.html", "<a> & b", stored_model.card, measured)
    page = (tmp_path / "drift.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "<title>&lt;a&gt; &amp; b</title>" in page
    assert 'drifted: <a href="#country">country</a></p>' in page
    for panel in re.findall("<g>.*?</g>", drawn):
        assert re.sub(r' [xy]="[\d.]+"', "", panel) in re.sub(r' [xy]="[\d.]+"', "", page)


def test_each_bin_has_its_label_and_both_shares_in_text(drawn, stored_model):
    texts = [text.text for text in ET.fromstring(drawn).iter(f"{SVG}text")]
    assert {"18-24", "Female", "UK"} <= set(texts)
    assert any(text.startswith("\u2264 \u2212") for text in texts)
    share = stored_model.card.input_bins["country"].shares[0]
    assert f"{share:.0%} \u2192 100%" in texts


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_has_no_barrier_and_fits(chromium, axe, stored_model, measured, scheme, width):
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.set_content(drift_plot.page("people.csv", stored_model.card, measured))
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    context.close()
