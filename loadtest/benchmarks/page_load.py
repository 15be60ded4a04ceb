"""Size of the web page, and time until its first result, for a running service.

usage: python -m loadtest.benchmarks.page_load [URL]

The URL is that of the service or of its page, by default http://127.0.0.1:3000.
Needs Chromium and playwright (`pip install -e '.[test]'`).
"""

from __future__ import annotations

import sys
from statistics import median, quantiles
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

from loadtest.harness.browser import find_chromium

URL: Final = "http://127.0.0.1:3000"
PATH: Final = "/app"
VISITS: Final = 20
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

# The page marks the result when it is in the document; Chromium reports when it was painted.
_WATCH: Final = """
new MutationObserver(() => document.querySelector('#risks .figure')?.setAttribute('elementtiming', 'result'))
  .observe(document, {childList: true, subtree: true});
new PerformanceObserver(list => { globalThis.painted ??= list.getEntries()[0].renderTime; console.debug('painted'); })
  .observe({type: 'element', buffered: true});
"""
_FIRST: Final = "performance.getEntriesByName('first result')[0].startTime"
_BYTES: Final = """
[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .filter(entry => new URL(entry.name).pathname.startsWith('/app'))
  .map(entry => entry.decodedBodySize).reduce((a, b) => a + b)
"""


def main() -> None:
    """Measure and print."""
    url = page_of(sys.argv[1] if len(sys.argv) > 1 else URL)
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("error: expected Chromium: apt-get install chromium")
    first, painted, size = [], [], 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for _ in range(VISITS):
            # A new context has an empty cache.
            page = browser.new_page()
            page.add_init_script(_WATCH)
            # wait_for_function would first run playwright's own script in the page, 0.3 MB of it.
            with page.expect_console_message(lambda message: message.text == "painted"):
                page.goto(url, wait_until="commit")
            page.wait_for_load_state("networkidle")
            first.append(page.evaluate(_FIRST))
            painted.append(page.evaluate("painted"))
            size = page.evaluate(_BYTES)
            page.close()
        browser.close()
    print(f"{size} bytes")
    for what, times in (("in the page", first), ("painted", painted)):
        slow = quantiles(times, n=10, method="inclusive")[-1]
        print(f"first result {what} after {median(times):.0f} ms (90th percentile {slow:.0f}, {VISITS} visits)")


def page_of(url: str) -> str:
    """Return the URL of the page, for the URL of the service or of the page."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path.removesuffix(PATH).rstrip("/") + PATH).geturl()


if __name__ == "__main__":
    main()
