"""The report as its reader meets it: opened by the command, and shown by a browser on a phone."""

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape

import pytest

from drugpred import model_store
from tests.harness import skip

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from drugpred.cli import main; main()", "report"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

# Shows the report in a frame as wide as a phone, all of it unfolded, and writes down what a reader would run into.
FRAME = """
<iframe src="index.html" width="360" height="800" style="border: 0" onload="
  const view = this.contentWindow, page = view.document, root = page.documentElement;
  page.querySelectorAll('details').forEach(part => part.open = true);
  const box = part => part.getBoundingClientRect(), all = name => [...page.querySelectorAll(name)];
  const beyond = text => {
    const it = box(text), around = box(text.closest('svg'));
    return it.left < around.left || it.right > around.right || it.top < around.top || it.bottom > around.bottom;
  };
  document.body.dataset.found = JSON.stringify({
    asked: view.performance.getEntriesByType('resource').map(entry => entry.name),
    width: [root.clientWidth, root.scrollWidth],
    plots: all('svg').length,
    empty: all('svg, svg polyline, svg circle, svg rect').filter(part => !box(part).width).length,
    clipped: all('svg text').filter(beyond).map(text => text.textContent),
    smallest: Math.min(...all('svg text').map(text => 11 * box(text.closest('svg')).width / 160)),
    tables: all('table').filter(table => box(table).width > 328 && !table.closest('.table')).length,
  });
"></iframe>
"""


def run(home, folder, *arguments):
    """Run the command with a browser that records the opened page."""
    opener = folder / "xdg-open"
    opener.write_text(f'#!/bin/sh\necho "$1" > {folder}/opened\n', encoding="utf-8")
    opener.chmod(0o755)
    environment = os.environ | {"BENTOML_HOME": str(home), "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("by_tag", [False, True])
def test_the_command_opens_the_report_and_prints_its_path(store, stored_model, tmp_path, by_tag):
    done = run(store, tmp_path, *([stored_model.tag] if by_tag else []))
    page = stored_model.path / "report" / "index.html"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{page}\n", "")
    if sys.platform == "linux":
        opened = tmp_path / "opened"
        subprocess.run(["timeout", "10", "sh", "-c", f"until [ -s {opened} ]; do sleep 0.1; done"], check=True)
        assert opened.read_text(encoding="utf-8").strip() == str(page)


@pytest.mark.parametrize("arguments", [[], [f"{model_store.NAME}:absent"], ["not a tag"]])
def test_without_the_model_the_command_says_so_in_a_line(tmp_path, arguments):
    done = run(tmp_path / "home", tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"Error: no model .* in the BentoML model store; run `python train.py` first\n", done.stderr)
    assert not (tmp_path / "opened").exists()


def test_a_report_that_was_altered_is_not_opened(copied_store, stored_model, tmp_path):
    page = copied_store / (stored_model.path / "report" / "index.html").relative_to(stored_model.path.parents[2])
    page.write_text("<script>alert(1)</script>", encoding="utf-8")
    done = run(copied_store, tmp_path)
    assert done.returncode == 2
    assert "report/index.html was changed" in done.stderr
    assert not (tmp_path / "opened").exists()


@pytest.fixture(scope="module")
def browser():
    """The path of a Chromium."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        skip("no Chromium to show the report: apt-get install chromium")
    return found


def test_a_phone_shows_all_of_it(stored_model, tmp_path, browser):
    shutil.copytree(stored_model.path / "report", tmp_path / "report")
    frame = tmp_path / "report" / "frame.html"
    frame.write_text(FRAME, encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
    # A frame from a file may be looked into only so.
    command += ["--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([*command, "--dump-dom", frame.as_uri()], capture_output=True, text=True, timeout=120)
    written = re.search(r'data-found="([^"]*)"', done.stdout)
    assert written, done.stderr
    found = json.loads(unescape(written[1]))
    smallest = found.pop("smallest")
    assert smallest > 10  # pixels of text
    assert found == {"asked": [], "width": [360, 360], "plots": 225, "empty": 0, "clipped": [], "tables": 0}
