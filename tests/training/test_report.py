"""The report: a page that stands alone, plots that show something, and figures that are those of the card."""

import csv
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from drugpred.codebook import DECADE, DRUGS, INPUTS, WINDOWS
from drugpred.data.respondents import simulate
from drugpred.data.simulator import Cohort
from drugpred.explanation import Explainer
from drugpred.predictor import Predictor
from drugpred.training import configuration
from drugpred.training.card import build_card
from drugpred.training.classification_metrics import METRICS
from drugpred.training.evaluation import Evaluation
from drugpred.training.published_results import PUBLISHED
from drugpred.training.report import render


@pytest.fixture(scope="module")
def files(stored_model):
    """The report of a model trained on the real data."""
    folder = stored_model.path / "report"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def page(files):
    return files["index.html"].decode()


def render_few(commit):
    """Return the report of a few simulated respondents, of whom nothing could be measured."""
    people = simulate(200, 0)
    quick = configuration.read(Path(__file__).parents[1] / "quick.yaml")
    last_use = people.last_use.copy()
    last_use[:, DRUGS.index("crack")] = 0
    folds = {name: np.full((1, 18, 6), np.nan) for name in METRICS}
    evaluation = Evaluation(last_use, np.random.default_rng(0).random((1, 200, 18, 6)), folds)
    card = build_card(people, quick, evaluation, None).model_copy(update={"git_commit": commit, "created": "today"})
    arrays = {"inputs": (38, 2), "bias": 2, "outputs": (2, 108), "output_bias": 108, "direct": (38, 108)}
    explainer = Explainer(Predictor(**{name: np.zeros(shape) for name, shape in arrays.items()}), people.X[:2])
    return render(card, evaluation, people.X, lambda rows: np.full((len(rows), 18, 6), 0.5), explainer, {})


MARKUP = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def few():
    return render_few(MARKUP)


class Reader(HTMLParser):
    """Reads a page: which tags are open, where its links go, and what its sections are."""

    VOID = frozenset({"meta", "link", "br", "img", "hr", "input"})

    def __init__(self, page):
        super().__init__()
        self.open, self.links, self.ids, self.text = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.links += [attributes[name] for name in ("href", "src") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def drawings(page):
    """Return the plots that have a name, by it."""
    found = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)]
    return {svg.get("aria-label"): svg for svg in found if svg.get("role") == "img"}


def test_the_report_is_a_page_and_two_tables_of_moderate_size(files):
    assert set(files) == {"index.html", "figures.csv", "groups.csv"}
    assert sum(map(len, files.values())) < 1_500_000


def test_the_page_is_well_formed_and_its_links_lead_somewhere(page, few, files):
    for text in (page, few["index.html"].decode()):
        reader = Reader(text)
        assert reader.open == []
        assert len(reader.ids) == len(set(reader.ids))
        assert len(reader.links) > 8
        assert {link for link in reader.links if not link.startswith("#")} == {"figures.csv", "groups.csv"}
        assert {link[1:] for link in reader.links if link.startswith("#")} == set(reader.ids)


def test_the_page_asks_nothing_of_any_other_host(page):
    for request in ("//", "<script", "url(", "@import", "<link", "<img", "<iframe"):
        assert request not in page


def test_the_page_gives_the_figures_of_the_card_with_their_intervals(page, stored_model):
    for drug, windows in stored_model.card.drugs.items():
        assert f'<th scope="row">{"LSD" if drug == "lsd" else drug.replace("_", " ")}</th>' in page
        for window in WINDOWS:
            of = windows[window]
            for name in ("auc", "average_precision", "brier"):
                low, high = of.intervals[name]
                assert f"<td>{getattr(of, name):.3f}<small>{low:.3f} to {high:.3f}</small></td>" in page
    low, high = stored_model.card.overall_intervals["decade_log_loss"]
    assert f"<td>{stored_model.card.overall['decade_log_loss']:.4f}<small>{low:.4f} to {high:.4f}</small></td>" in page
    assert f"{stored_model.card.reference_split['auc']:.4f}" in page


def test_the_page_has_the_purpose_and_the_origin_of_the_model(page, stored_model):
    for said in ("Not for diagnosis", "not population risks", "artefact of recruitment", "Semeron were kept"):
        assert said in page
    for made in (stored_model.card.data.sha256, stored_model.card.created, stored_model.card.versions["scikit-learn"]):
        assert made in page


def test_every_drug_has_its_plots(page):
    plots = drawings(page)
    assert len(plots) == 5 + 2 + 18 * (5 + 7)
    for drug in DRUGS:
        name = "LSD" if drug == "lsd" else drug.replace("_", " ")
        (roc,) = [svg for label, svg in plots.items() if label.startswith(f"ROC curve of {name},")]
        assert len(roc.find("polyline").get("points").split()) > 20
        (precision,) = [svg for label, svg in plots.items() if label.startswith(f"Precision and recall of {name},")]
        assert len(precision.find("polyline").get("points").split()) > 20
        (swarm,) = [svg for label, svg in plots.items() if label.startswith(f"Contributions of each input to {name}:")]
        assert sum(path.get("d").count("M") for path in swarm.iter("path") if path.get("class") != "guide") == 12 * 100
        reliability = plots[f"Share of users of {name} in ten bins of predicted probability"]
        assert len(reliability.findall("circle")) == 10
        recency = plots[f"Shares of last use of {name}, found and predicted"]
        assert len(recency.findall("rect")) == 7
        assert sum(label.startswith(f"mean probability of {name} use by") for label in plots) == 7


def test_nothing_is_drawn_outside_the_drawing(page, few):
    for text in (page, few["index.html"].decode()):
        for svg in drawings(text).values():
            *_, width, height = map(float, svg.get("viewBox").split())
            for line in svg.iter("polyline"):
                points = np.array([point.split(",") for point in line.get("points").split()], float)
                assert (points >= 0).all()
                assert (points <= [width, height]).all()
            for dot in svg.iter("circle"):
                assert 0 < float(dot.get("cx")) < width
                assert 0 < float(dot.get("cy")) < height
            for bar in svg.iter("rect"):
                assert 0 <= float(bar.get("width")) <= width - float(bar.get("x")) + 0.1


def tables(page, label):
    """Return the rows of a table as text, by their headings."""
    (found,) = re.findall(rf'aria-label="{label}".*?<tbody>(.*?)</tbody>', page, flags=re.DOTALL)
    rows = re.findall(r"<tr.*?</tr>", found, flags=re.DOTALL)
    return {cells[0]: cells[1:] for cells in (re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in rows)}


def test_the_confusion_is_that_of_sensitivity_and_specificity(page, stored_model):
    confusion = tables(page, "confusion by drug")
    assert len(confusion) == 18
    for drug, windows in stored_model.card.drugs.items():
        of = windows["decade"]
        found, missed, wrong, right = map(int, confusion["LSD" if drug == "lsd" else drug.replace("_", " ")])
        assert found + missed + wrong + right == pytest.approx(1000, abs=2)
        assert found + missed == pytest.approx(1000 * of.base_rate, abs=1.1)
        assert found / (found + missed) == pytest.approx(of.sensitivity, abs=0.03)


def test_the_inputs_that_matter_are_those_of_the_explanations(page, stored_model):
    rows = Cohort.load().rows(100, np.random.default_rng(1))
    explainer = Explainer.load(stored_model.path / "background.npy", stored_model.predictor)
    cannabis = DRUGS.index("cannabis")
    contributions = np.array([explainer.explain(row)[1][cannabis, DECADE] for row in rows])
    expected = [f"{mean:.2f}" for mean in np.abs(contributions).mean(axis=0)]
    assert tables(page, "mean absolute contributions of inputs by drug")["cannabis"] == expected
    pairs = tables(page, "interactions of inputs")
    assert len(pairs) == 10
    means = [float(mean) for mean, *_ in pairs.values()]
    assert means == sorted(means, reverse=True)
    assert means[-1] > 0


def test_the_learning_curve_ends_with_the_figures_of_the_card(page, stored_model):
    overall = stored_model.card.overall
    (auc,) = [label for label in drawings(page) if label.startswith("Learning curve, 15 drugs, decade: AUC")]
    assert auc.endswith(f"{overall['decade_auc15']:.3f} with {1885 // 2}")


def test_the_data_are_pictures_in_their_order(page):
    section = page[page.index('id="data"') : page.index('id="overall"')]
    assert re.findall(r'aria-label="(.{17})', section) == [
        "Share of responde",
        "When each drug wa",
        "Difference of use",
        "Distribution of t",
        "Correlation of th",
    ]
    assert "The 1885 respondents" in section


def test_the_effects_of_all_inputs_are_named(page):
    section = page[page.index('id="effects"') : page.index('id="groups"')]
    for name in INPUTS:
        assert section.count(name.replace("_", " ")) >= 18


def test_the_published_figures_are_next_to_ours_with_the_reason(page, stored_model, few):
    section = page[page.index('id="published"') : page.index('id="made"')]
    assert "so it is optimistic" in section
    for drug, published in PUBLISHED.items():
        assert f"<td>{published.sensitivity:.1f}</td><td>{published.specificity:.1f}</td>" in section
        assert f"<td>{100 * stored_model.card.drugs[drug]['decade'].sensitivity:.1f}<small>" in section
    assert "arXiv" not in few["index.html"].decode()  # simulated respondents are not those of the paper


def test_the_figures_are_a_table_too(files, stored_model):
    rows = list(csv.DictReader(files["figures.csv"].decode().splitlines()))
    assert [(row["drug"], row["window"]) for row in rows] == [(drug, window) for drug in DRUGS for window in WINDOWS]
    for row in rows:
        of = stored_model.card.drugs[row["drug"]][row["window"]]
        for name in (*METRICS, "calibration_error"):
            assert row[name] == str(getattr(of, name))
            assert (row[f"{name}_low"], row[f"{name}_high"]) == tuple(map(str, of.intervals[name]))
        assert (row["base_rate"], row["reliable"]) == (str(of.base_rate), str(of.reliable))


def test_the_groups_are_a_table_too_and_the_page_has_its_figures(files, page):
    rows = list(csv.DictReader(files["groups.csv"].decode().splitlines()))
    assert len(rows) == 18 * 24
    section = page[page.index('id="groups"') : page.index('id="published"')]
    assert section.count("<details open>") == 1
    assert section.count("<details") == 18
    for row in rows:
        if row["auc"]:
            assert f"<td>{float(row['auc']):.3f}<small>" in section
    assert section.count("too few</td>") == sum(not row["auc"] for row in rows)
    assert section.count("<td>under 10</td>") == sum(not row["people"] for row in rows) == 18 * 2


def test_no_file_holds_a_respondent(files, records_in):
    assert {name: records_in(content) for name, content in files.items()} == {name: [] for name in files}


def test_real_data_are_not_called_simulated(page):
    body = page[page.index("<body>") :]
    assert "simulated data" not in body.lower()
    assert 'class="simulated"' not in body


def test_simulated_data_are_called_so_loudly(few):
    page = few["index.html"].decode()
    assert re.search(r'<p class="simulated"><strong>SIMULATED DATA', page)
    assert page.index("SIMULATED DATA") < page.index("<h2")


def test_a_figure_that_could_not_be_measured_is_a_dash(few):
    page = few["index.html"].decode()
    assert "<td>-</td>" in page
    assert "<p>too few</p>" in page  # users of crack, for a ROC curve
    text = " ".join(Reader(page).text).lower()
    assert not re.search(r"\bnan\b|\bnone to\b|undefined", text)
    assert "share of users among all respondents" in text
    (crack,) = [
        row
        for row in csv.DictReader(few["figures.csv"].decode().splitlines())
        if (row["drug"], row["window"]) == ("crack", "year")
    ]
    assert (crack["auc"], crack["auc_low"]) == ("", "")


def test_values_in_the_page_are_escaped(few):
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in few["index.html"].decode()


def test_the_same_model_has_the_same_report(few):
    assert render_few(MARKUP) == few


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1440, "light")])
def test_the_page_has_no_barrier(chromium, axe, page, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    shown = context.new_page()
    shown.set_content(page)
    assert axe(shown) == []
    context.close()


@pytest.mark.slow
def test_the_page_and_its_main_table_fit_at_every_width(chromium, page):
    context = chromium.new_context()
    shown = context.new_page()
    shown.set_content(page)
    wide = "tables => tables.filter(table => table.scrollWidth > table.clientWidth).length"
    for width in (360, 390, 768, 1280, 1440, 1920):
        shown.set_viewport_size({"width": width, "height": 900})
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.locator(".drugs").evaluate_all(wide) == 0
    context.close()


@pytest.mark.slow
def test_the_table_is_sorted_without_a_script(chromium, page, stored_model):
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    shown = context.new_page()
    shown.set_content(page)
    table = shown.locator(".drugs").first
    table.get_by_role("radio", name="AUC").check()
    rows = table.locator("tbody tr").all()
    names = [row.locator("th").inner_text() for row in sorted(rows, key=lambda row: row.bounding_box()["y"])]
    drugs = stored_model.card.drugs
    expected = sorted(drugs, key=lambda drug: -drugs[drug]["decade"].auc)
    assert names == ["LSD" if drug == "lsd" else drug.replace("_", " ") for drug in expected]
    context.close()
