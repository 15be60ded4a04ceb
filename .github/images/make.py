"""Make the pictures of the documentation, page.png and report.png, from a service that runs.

usage: python .github/images/make.py [URL]

The URL is that of a service without API keys, http://127.0.0.1:3000 if none is given. Needs Chromium and playwright
(`pip install -e '.[test]'`).
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from loadtest.harness.browser import find_chromium

FOLDER = Path(__file__).parent
FLAGS = ["--no-sandbox", "--disable-gpu"]


def main() -> None:
    """Open the page and the report, and write a picture of each."""
    url = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:3000"
    browser = find_chromium()
    if browser is None:
        raise SystemExit("error: expected Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1040, "height": 540}, color_scheme="light", reduced_motion="reduce")
        take(page, f"{url}/app", "#person > section", "page.png")
        take(page, f"{url}/app/report/", "#roc", "report.png")
        chromium.close()


def take(page: Page, url: str, place: str, file: str) -> None:
    """Write the picture of a page from this place on."""
    page.goto(url)
    page.wait_for_load_state("networkidle")
    if page.get_by_role("button", name="Curious student").count():
        page.get_by_role("button", name="Curious student").click()
        page.wait_for_load_state("networkidle")
    page.evaluate("place => document.querySelector(place).scrollIntoView()", place)
    page.screenshot(path=FOLDER / file)


if __name__ == "__main__":
    main()
