"""Figures are of the present answers, or visibly of others, as long as the service has not answered."""

import pytest

from tests.web.people import EXAMPLE, ranked, shown, wait_for

pytestmark = pytest.mark.slow

OLD = """() => {
  const figures = [...document.querySelectorAll('#risks .figure, #risks .range')];
  return document.querySelector('#result').classList.contains('stale')
    && [...document.querySelectorAll('#risks .interval')].every(mark => getComputedStyle(mark).display === 'none')
    && figures.every(figure => getComputedStyle(figure).textDecorationLine === 'line-through');
}"""
"""Whether each figure of a person is struck out, and no interval is drawn."""

BUSY = "() => document.querySelector('#result').getAttribute('aria-busy') === 'true'"
PROBLEM = "() => document.querySelector('#problem').textContent !== ''"


class Held:
    """A handler that holds requests until they are released."""

    def __init__(self):
        self.routes = []

    def __call__(self, route):
        self.routes.append(route)

    def release(self):
        for route in self.routes:
            route.continue_()


@pytest.fixture
def held():
    return Held()


def in_view(page, selector):
    box = page.locator(selector).bounding_box()
    return box["y"] >= 0 and box["y"] + box["height"] <= page.viewport_size["height"]


def test_the_first_load_shows_that_it_loads(open_page, api, held):
    page = open_page(routes={"**/predict": held}, wait=False)
    page.wait_for_function("() => document.querySelector('#state').textContent === 'Loading the figures\u2026'")
    assert page.evaluate(BUSY)
    assert shown(page) == {}
    assert page.locator("#risks").bounding_box()["height"] > 400
    held.release()
    wait_for(page, ranked(api, EXAMPLE))
    assert not page.evaluate(BUSY)
    assert page.locator("#state").inner_text() == ""


def test_a_slow_service_leaves_no_figure_of_other_answers_without_a_mark(page, api, held):
    page.route("**/predict", held)
    page.locator("#age").fill("70")
    page.wait_for_function(OLD)
    assert page.evaluate(BUSY)
    assert page.locator("#state").inner_text() == "Waiting for the service. The figures below are not of these answers."
    held.release()
    wait_for(page, ranked(api, {**EXAMPLE, "age": 70}))
    assert not page.evaluate(OLD)
    assert not page.evaluate(BUSY)


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_a_hanging_service_is_given_up_with_the_reason(open_page, held, first):
    page = open_page(routes={"**/predict": held} if first else {}, wait=not first)
    if not first:
        page.route("**/predict", held)
        page.locator("#age").fill("70")
    page.wait_for_function(PROBLEM, timeout=30_000)
    assert page.locator("#problem").inner_text().startswith("The service does not answer. Trying again in ")
    assert page.evaluate(OLD)
    assert len(shown(page)) == (0 if first else 18)


def test_a_refused_request_leaves_no_figure_of_other_answers_without_a_mark(page, expected_complaints):
    expected_complaints.append("503")
    page.route("**/predict", lambda route: route.fulfill(status=503, json={"error": "no", "detail": []}))
    page.locator("#age").fill("70")
    page.wait_for_function(PROBLEM)
    assert page.evaluate(OLD)


def test_a_form_that_cannot_be_sent_leaves_no_figure_of_other_answers_without_a_mark(page):
    page.locator("#age").fill("7")
    assert page.evaluate(OLD)
    assert not page.evaluate(BUSY)
    assert page.locator("#state").inner_text() == "The figures below are not of these answers."


@pytest.mark.parametrize("place", ["#risks > li:first-child", "#risks > li:last-child"])
def test_the_reason_is_in_view_next_to_the_drugs(page, expected_complaints, place):
    expected_complaints.append("503")
    page.route("**/predict", lambda route: route.fulfill(status=503, json={"error": "no", "detail": []}))
    page.locator("#age").fill("70")
    page.wait_for_function(PROBLEM)
    page.locator(place).scroll_into_view_if_needed()
    assert in_view(page, "#problem")


def test_on_a_phone_the_reason_is_in_view_next_to_the_form(open_page, expected_complaints):
    expected_complaints.append("503")
    page = open_page(viewport={"width": 390, "height": 844})
    page.locator("#form > summary").click()
    page.route("**/predict", lambda route: route.fulfill(status=503, json={"error": "no", "detail": []}))
    page.locator("#age").fill("70")
    page.wait_for_function(PROBLEM)
    assert page.locator("#strip-state").inner_text() == page.locator("#problem").inner_text()
    assert page.locator("#summary").is_hidden()
    assert in_view(page, "#strip-state")


def test_an_explanation_that_is_late_is_taken_off(page, held):
    page.locator("#risks > li", has_text="LSD").locator("summary").click()
    page.wait_for_selector(".why table")
    page.route("**/predict", held)
    page.locator("#age").fill("70")
    page.wait_for_function("() => !document.querySelector('.why table')")
