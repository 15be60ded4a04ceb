"""How the page looks: no barrier that axe knows of, nothing cut off, from a phone to a desk, light and dark."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory):
    """The folder of SCREENSHOTS, else a temporary one."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize(
    ("width", "height", "scheme"), [(360, 740, "light"), (390, 844, "dark"), (768, 1024, "light"), (1440, 900, "dark")]
)
def test_no_barrier_and_nothing_cut_off(open_page, axe, screenshots, expected_complaints, width, height, scheme):
    expected_complaints.append("400")
    page = open_page(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
    page.screenshot(path=screenshots / f"{width}-{scheme}-first.png")
    assert axe(page) == []
    page.locator("#form").evaluate("form => { form.open = true; }")
    page.get_by_role("button", name="Keep these answers").click()
    page.get_by_role("radio", name="NEO-FFI-R totals").check()
    page.locator("#openness-total").fill("99")
    page.locator("#age").fill("17")
    assert axe(page) == []
    page.get_by_role("button", name="Curious student").click()
    page.locator("#risks > li").nth(4).locator("summary").click()
    page.wait_for_selector(".why table")
    page.locator("#model-details summary").click()
    page.wait_for_selector("#model-facts table")
    page.get_by_role("button", name="Copy a link").click()
    page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": FILE})
    page.wait_for_selector("#many-result table")
    for words in ("Save", "Use it from code", "Report the outcomes"):
        page.locator("summary", has_text=words).click()
    page.evaluate("for (const id of ['simulated', 'access', 'file-source']) document.getElementById(id).hidden = false")
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=screenshots / f"{width}-{scheme}-all.png", full_page=True)


def in_view(page, selector):
    """Return the number of elements that are wholly on the screen."""
    return page.locator(selector).evaluate_all(
        "found => found.filter(e => e.getBoundingClientRect().bottom <= innerHeight).length"
    )


def test_the_first_screen_of_a_desk_has_the_form_the_cautions_and_twelve_drugs(page):
    assert in_view(page, "#risks > li") >= 12
    assert in_view(page, "#sensation_seeking") == 1
    assert page.locator(".cautions").bounding_box()["height"] < 40
    assert "Not for diagnosis" in page.locator(".cautions").inner_text()


def test_the_first_screen_of_a_phone_has_drugs_and_the_cautions(open_page):
    page = open_page(viewport={"width": 390, "height": 844})
    assert in_view(page, "#risks > li") >= 3
    assert "Not for diagnosis" in page.locator(".cautions").inner_text()
    assert page.locator("#who").inner_text() == "30, Female, University degree, United Kingdom, White"
    page.locator("#form > summary").click()
    assert page.locator("#age").is_visible()


@pytest.mark.parametrize("width", [390, 1440])
def test_no_part_of_the_page_scrolls_in_itself(open_page, width):
    page = open_page(viewport={"width": width, "height": 600})
    own = """[...document.querySelectorAll('body *')].filter(element =>
      ['auto', 'scroll'].includes(getComputedStyle(element).overflowY) && element.scrollHeight > element.clientHeight
    ).map(element => element.id)"""
    assert page.evaluate(own) == []
    page.locator("#form").evaluate("form => { form.open = true; }")
    page.locator("#sensation_seeking").scroll_into_view_if_needed()
    assert page.locator("#sensation_seeking").evaluate("e => e.getBoundingClientRect().bottom <= innerHeight")


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
