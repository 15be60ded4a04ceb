"""Three tasks with the keyboard alone."""

import json
import shlex

import pytest

from drugpred.codebook import INPUTS
from tests.web.people import EXAMPLE, ranked, wait_for

pytestmark = pytest.mark.slow

MAX_STOPS = 90


def tab_to(page, condition):
    """Press Tab until the focused element meets a condition, a JavaScript expression of `e`."""
    for _ in range(MAX_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate(f"(e => {condition})(document.activeElement)"):
            return
    pytest.fail(f"no focus on {condition} within {MAX_STOPS} stops")


def fill_in(page, **answers):
    for name, keys in answers.items():
        tab_to(page, f"e.id === '{name}'")
        page.keyboard.type(keys)


def test_fill_in_a_person_and_copy_the_curl(open_page, api):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    fill_in(page, age="52", gender="Male", country="United S")
    person = {**EXAMPLE, "age": 52, "gender": "Male", "country": "USA"}
    wait_for(page, ranked(api, person))
    tab_to(page, "e.matches('summary') && e.textContent === 'Use it from code'")
    page.keyboard.press("Enter")
    tab_to(page, "e.id === 'code-copy'")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#code-copied').textContent === 'Copied.'")
    *_, body = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert json.loads(body) == person | {"window": "decade"}


def test_score_a_file_and_find_the_unusual(page):
    rows = [[*list(EXAMPLE.values())[1:8], 0, 0, 0, 0, 0] for _ in range(20)]
    rows[13][0], rows[13][11] = 18, 1.9
    lines = [",".join(["id", *INPUTS]), *(",".join(map(str, [f"p{i}", *row])) for i, row in enumerate(rows))]
    page.on("filechooser", lambda _: None)  # from now on Chromium leaves files to playwright
    tab_to(page, "e.id === 'file'")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files({"name": "a.csv", "mimeType": "text/csv", "buffer": "\n".join(lines).encode()})
    page.wait_for_selector("#many-result table")
    tab_to(page, "e.matches('[role=region]') && e.ariaLabel.startsWith('Furthest from the others')")
    first = page.evaluate("document.activeElement.querySelector('tbody th').textContent")
    assert first == "p13"


def test_compare_two_persons(page, api):
    tab_to(page, "e.textContent === 'Careful parent'")
    page.keyboard.press("Enter")
    tab_to(page, "e.id === 'keep'")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "forget"
    for _ in range(MAX_STOPS):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.textContent") == "Thrill seeker":
            break
    page.keyboard.press("Enter")
    profiles = page.evaluate("async () => (await import('/app/examples.js')).EXAMPLES")
    wait_for(page, ranked(api, profiles["thrill"]))
    change = page.locator("#risks > li", has_text="Cannabis").locator(".change").inner_text()
    earlier, now = (
        next(risk["probability"] for risk in answer["risks"] if risk["drug"] == "cannabis")
        for answer in api.post("/predict_batch", json={"profiles": [profiles["parent"], profiles["thrill"]]}).json()
    )
    assert change == f"before {100 * earlier:.0f}% (+{round(100 * now) - round(100 * earlier)})"
    assert page.locator("#changes li").count() > 5
