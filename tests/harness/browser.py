"""A real Chromium, driven by playwright."""

from pathlib import Path

import pytest

from loadtest.harness.browser import find_chromium
from tests.harness import skip

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-software-rasterizer",  # what would replace the GPU takes a quarter of the time
    "--in-process-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Of a module: as long as it runs, playwright keeps an event loop in this thread, and no other test can have one.
@pytest.fixture(scope="module")
def chromium():
    path = find_chromium()
    if path is None:
        skip("no Chromium to show the page: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip("no playwright to drive a browser: pip install -e '.[test]'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe():
    """Return a function that lists the barriers of a page: rules of axe, each with its elements."""
    try:
        import axe_playwright_python
    except ImportError:
        skip("no axe to look for barriers: pip install -e '.[test]'")
    script = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")

    def violations(page):
        page.evaluate(script)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]

    return violations
