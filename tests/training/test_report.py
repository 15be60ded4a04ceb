"""The report: a page that stands alone and plots that show something."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from drugpred.codebook import DRUGS
from drugpred.training import configuration
from drugpred.training.card import make_card
from drugpred.training.evaluation import Evaluation
from drugpred.training.report import render


@pytest.fixture(scope="module")
def files(bundle):
    """The report of a model trained on the real data."""
    folder = bundle.path / "report"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def page(files):
    return files["index.html"].decode()


@pytest.fixture(scope="module")
def simulated(real):
    """The report of respondents who are said to be simulated, and one of their drugs beyond measuring."""
    quick = configuration.read(Path(__file__).parents[1] / "quick.yaml")
    few = type(real)(real.frame.iloc[:200], "simulated", "")
    folds = {name: np.full((1, 18, 6), np.nan) for name in ("auc", "sensitivity", "specificity", "log_loss", "brier")}
    evaluation = Evaluation(few.last_use, np.random.default_rng(0).random((1, 200, 18, 6)), folds)
    return render(make_card(few, quick, evaluation, None), evaluation)


def test_the_page_names_every_drug(page):
    for drug in DRUGS:
        assert drug.replace("_", " ") in page


def test_the_page_gives_the_figures_of_the_card(page, bundle):
    for windows in bundle.card.drugs.values():
        assert f"{windows['decade'].auc:.3f}" in page
        assert f"{windows['year'].base_rate:.3f}" in page
    assert f"{bundle.card.overall['cannabis_decade_auc']:.4g}" in page


def test_the_page_cautions(page):
    for caution in ("Not for diagnosis", "not population risks", "artefact of recruitment", "Semeron"):
        assert caution in page


def test_the_page_asks_nothing_of_any_other_host(page, files):
    assert "//" not in page
    assert "<script" not in page
    assert "url(" not in page
    wanted = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)""", page)
    assert wanted
    assert set(wanted) < set(files)


def test_plots_show_something(files):
    plots = {name: content for name, content in files.items() if name.endswith(".png")}
    assert len(plots) == 2
    for content in plots.values():
        pixels = imread(io.BytesIO(content), format="png")[:, :, :3]
        height, width, _ = pixels.shape
        # Eighteen panels in five rows of four: each but the last two has ink.
        panels = [
            pixels[i * height // 5 : (i + 1) * height // 5, j * width // 4 : (j + 1) * width // 4]
            for i in range(5)
            for j in range(4)
        ]
        assert all((panel < 0.9).any(axis=2).mean() > 0.01 for panel in panels[:18])
        assert len(np.unique((255 * pixels).round() @ [1, 256, 65536])) > 20


def test_real_data_are_not_called_simulated(page):
    assert "simulated" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL).lower()


def test_simulated_data_are_called_so_loudly(simulated):
    page = simulated["index.html"].decode()
    assert re.search(r'<p class="simulated"><strong>SIMULATED DATA', page)
    assert page.index("SIMULATED DATA") < page.index("<h2>")


def test_what_could_not_be_measured_is_a_dash(simulated):
    page = simulated["index.html"].decode()
    assert "<td>-</td>" in page
    assert "nan" not in page.lower()
    assert "None" not in page
