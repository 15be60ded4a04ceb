"""The report as its reader meets it: opened by the command, and shown by a browser on a phone."""

import os
import re
import subprocess
import sys

import pytest

from drugpred import model_store

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from drugpred.cli import main; main()", "report"]

# Unfolds the report, and returns its size and its faults.
FIND = """() => {
  document.querySelectorAll('details').forEach(part => part.open = true);
  const root = document.documentElement;
  const box = part => part.getBoundingClientRect(), all = name => [...document.querySelectorAll(name)];
  const beyond = text => {
    const it = box(text), around = box(text.closest('svg'));
    return it.left < around.left || it.right > around.right || it.top < around.top || it.bottom > around.bottom;
  };
  return {
    asked: performance.getEntriesByType('resource').map(entry => entry.name),
    width: [root.clientWidth, root.scrollWidth],
    plots: all('svg').length,
    empty: all('svg, svg polyline, svg circle, svg rect').filter(part => !box(part).width).length,
    clipped: all('svg text').filter(beyond).map(text => text.textContent),
    smallest: Math.min(...all('svg text').map(text => 11 * box(text.closest('svg')).width / 160)),
    tables: all('table').filter(table => box(table).width > 328 && !table.closest('.table')).length,
  };
}"""


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


def test_a_phone_shows_all_of_it(stored_model, chromium):
    page = chromium.new_page(viewport={"width": 360, "height": 800})
    page.goto((stored_model.path / "report" / "index.html").as_uri())
    found = page.evaluate(FIND)
    page.close()
    smallest = found.pop("smallest")
    assert smallest > 10  # pixels of text
    assert found == {"asked": [], "width": [360, 360], "plots": 225, "empty": 0, "clipped": [], "tables": 0}
