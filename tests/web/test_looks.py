"""How the page looks: no barrier that axe knows of, nothing cut off, from a phone to a desk, light and dark."""

import os
from pathlib import Path

import pytest

from tests.harness import skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def axe():
    try:
        import axe_playwright_python
    except ImportError:
        skip("no axe to look for barriers: pip install -e '.[test]'")
    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory):
    """The folder of SCREENSHOTS, else a temporary one."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def violations(page, axe):
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 740), (768, 1024), (1440, 900)])
def test_no_barrier_and_nothing_cut_off(open_page, axe, screenshots, expected_complaints, scheme, width, height):
    expected_complaints.append("400")
    page = open_page(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
    page.screenshot(path=screenshots / f"{width}-{scheme}-first.png")
    assert violations(page, axe) == []
    page.get_by_role("button", name="Keep these answers").click()
    page.get_by_role("radio", name="NEO-FFI-R totals").check()
    page.locator("#openness-total").fill("99")
    page.locator("#age").fill("17")
    assert violations(page, axe) == []
    page.get_by_role("button", name="Curious student").click()
    page.locator("#risks > li").nth(4).locator("summary").click()
    page.wait_for_selector(".why table")
    page.locator("#model-details summary").click()
    page.wait_for_selector("#model-facts table")
    page.get_by_role("button", name="Link to these answers").click()
    page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": FILE})
    page.wait_for_selector("#many-result table")
    page.evaluate("for (const id of ['simulated', 'access', 'file-source']) document.getElementById(id).hidden = false")
    assert violations(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=screenshots / f"{width}-{scheme}-all.png", full_page=True)


FILE = (
    b"age,gender,education,country,ethnicity,nscore,escore,oscore,ascore,cscore,impulsive,ss\n"
    b"17,F,University degree,UK,White,0,0,0,0,0,0,0\n25,F,University degree,UK,White,0,0,0,0,0,0,0\n"
)


def test_movement_is_left_out_where_the_reader_wants_none(open_page):
    moves = "getComputedStyle(document.querySelector('.risks .fill')).transitionDuration"
    assert open_page(reduced_motion="reduce").evaluate(moves) in ("0s", "")
    assert open_page(reduced_motion="no-preference").evaluate(moves) != "0s"


def test_the_summary_is_announced_once_the_sliders_rest(page):
    page.wait_for_function(
        "() => document.querySelector('#aloud').textContent.startsWith('Furthest from the sample: ')"
    )
    page.evaluate("""
      globalThis.said = 0;
      const count = new MutationObserver(() => { said += 1; });
      count.observe(document.querySelector('#aloud'), {childList: true});
    """)
    for value in ("0.5", "1", "1.5", "1.9"):
        page.locator("#sensation_seeking").fill(value)
    page.wait_for_function("() => said > 0")
    assert page.evaluate("said") == 1
