"""Pictures of the respondents: they show the data, and no single respondent."""

import re
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import drugpred
from drugpred.codebook import CATEGORIES, DRUGS, SCORES, display_name
from drugpred.training import data_plots
from drugpred.training.data_plots import co_use, differences, heat_map, people, scores_by_use, use

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def data(uci_path):
    return drugpred.load_data(uci_path)


@pytest.fixture(scope="module")
def few():
    """People none of whom has used a drug, and of whom there are few."""
    simulated = drugpred.simulate(30)
    for drug in DRUGS:
        simulated[drug] = pd.Series("never", simulated.index, simulated[drug].dtype)
    return simulated


def drawn(picture):
    return ET.fromstring(picture._repr_svg_())


def texts(picture):
    return [text.text for text in drawn(picture).iter(f"{SVG}text")]


def rects(picture, kind):
    return [rect for rect in drawn(picture).iter(f"{SVG}rect") if rect.get("class") == kind]


PICTURES = [people, use, differences, co_use, *(lambda data, drug=drug: scores_by_use(data, drug) for drug in DRUGS)]


@pytest.mark.parametrize("draw", PICTURES)
@pytest.mark.parametrize("name", ["data", "few"])
def test_all_of_a_picture_is_within_it(draw, name, request, records_in):
    picture = draw(request.getfixturevalue(name))
    for element in drawn(picture).iter():
        if element.tag == f"{SVG}rect":
            x, y, width, height = (float(element.get(of, 0)) for of in ("x", "y", "width", "height"))
            assert x >= 0
            assert x + width <= picture.width + 0.1
            assert y + height <= picture.height
        elif element.tag == f"{SVG}polyline":
            points = np.array([point.split(",") for point in element.get("points").split()], float)
            assert (points >= 0).all()
            assert (points <= [picture.width + 0.1, picture.height]).all()
    assert "nan" not in picture.body
    assert records_in(picture._repr_svg_().encode()) == []


def test_in_a_page_it_has_no_style_of_its_own_and_alone_it_needs_no_other_file(data):
    picture = people(data)
    assert "<style" not in picture.__html__()
    alone = picture._repr_svg_()
    assert "prefers-color-scheme: dark" in alone
    used = set(re.findall(r'class="(\w+)"', alone))
    assert all(re.search(rf"[.]{name}\b", alone) for name in used)
    assert not re.search(r"<script|url\(|@import|href", alone)


def test_people_have_the_share_of_every_level_but_of_the_smallest(data):
    shown = texts(people(data))
    counts = [count for category in CATEGORIES for count in category.counts]
    assert shown.count("under 10 people") == sum(count < 10 for count in counts) == 2
    figures = [text for text in shown if text.endswith("%")]
    assert figures == [f"{count / 1885:.0%}" for count in counts if count >= 10]


def test_use_is_ranked_and_its_shares_make_up_everybody(data):
    picture = use(data)
    names = [text for text in texts(picture) if text in {display_name(drug) for drug in DRUGS}]
    ever = {display_name(drug): (data[drug] > "never").mean() for drug in DRUGS}
    assert names == sorted(ever, key=lambda name: -ever[name])
    bars = [rect for rect in rects(picture, "ground") + rects(picture, "less") if rect.get("height") == "12.0"]
    widths = {}
    for bar in bars:
        widths.setdefault(bar.get("y"), []).append(float(bar.get("width")))
    totals = [sum(parts) for parts in widths.values()]
    assert len(totals) == 18
    assert totals == pytest.approx([totals[0]] * 18, abs=0.5)
    top = min(widths, key=float)
    assert widths[top][0] / totals[0] == pytest.approx(1 - ever[names[0]], abs=0.002)


def test_scores_of_users_and_others_are_shares_of_each(data):
    lines = list(drawn(scores_by_use(data, "cannabis")).iter(f"{SVG}polyline"))
    assert [line.get("class") for line in lines] == ["line users", "line others"] * len(SCORES)
    points = np.array([point.split(",") for point in lines[0].get("points").split()], float)
    shares = (90 - points[::2, 1]) / 70 * 0.6
    scores = data.loc[data["cannabis"] >= "last decade", "neuroticism"]
    expected = np.histogram(scores, [-9, *np.linspace(-2.1, 2.1, 7), 9])[0] / len(scores)
    assert shares == pytest.approx(expected, abs=0.001)


def test_of_a_group_that_is_too_small_nothing_is_drawn(few):
    kinds = {line.get("class") for line in drawn(scores_by_use(few, "crack")).iter(f"{SVG}polyline")}
    assert kinds == {"line others"}
    assert texts(differences(few)).count("-") == 18 * 7


def test_differences_are_those_of_the_means(data):
    shown = [text for text in texts(differences(data)) if re.fullmatch(r"-?\d\.\d", text)]
    assert len(shown) == 18 * 7
    used = data["cannabis"] >= "last decade"
    sample = data["sensation_seeking"]
    variances = [(group.var(), len(group) - 1) for group in (sample[used], sample[~used])]
    deviation = np.sqrt(sum(v * n for v, n in variances) / (len(data) - 2))
    d = (sample[used].mean() - sample[~used].mean()) / deviation
    assert shown[DRUGS.index("cannabis") * 7 + 6] == f"{d:.1f}"


def test_drugs_that_the_same_people_use_are_side_by_side(data):
    names = texts(co_use(data))
    order = names[:18]
    assert names[-18:] == order
    assert set(order) == {display_name(drug) for drug in DRUGS}
    assert abs(order.index("mushrooms") - order.index("LSD")) == 1
    assert abs(order.index("crack") - order.index("heroin")) == 1
    assert len(list(drawn(co_use(data)).iter(f"{SVG}polyline"))) == 17
    phi = np.corrcoef(data["mushrooms"] >= "last decade", data["lsd"] >= "last decade")[0, 1]
    assert f"{phi:.2f}" in names  # the largest


def test_a_heat_map_has_the_sign_in_its_colour_and_the_size_in_its_strength():
    picture = heat_map("x", ["lsd", "crack"], ["age", "gender"], np.array([[1.0, -0.5], [0.0, np.nan]]), figures=False)
    assert [rect.get("fill-opacity") for rect in rects(picture, "more")] == [None]
    assert [rect.get("fill-opacity") for rect in rects(picture, "less")] == ["0.50", "0.00"]
    assert texts(heat_map("x", ["lsd"], ["age", "gender"], np.array([[0.04, -0.04]])))[1:3] == ["0.0", "0.0"]


def test_names_are_never_markup():
    picture = heat_map('"<', ["<b>"], ["<i>"], np.array([[1.0]]))
    assert texts(picture)[0] == "<b>"
    assert drawn(picture).get("aria-label") == '"<'


def test_pictures_are_the_same_each_time(data):
    assert co_use(data) == co_use(data.copy())
    assert data_plots.people(data) == people(data)
