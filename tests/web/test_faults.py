"""What goes wrong: limits, overload, lost connections, keys, and answers that are no answers."""

import hashlib
import json
import re
import shutil

import pytest

from drugpred.codebook import INPUTS
from tests.web.people import EXAMPLE, ranked, shown, wait_for

pytestmark = pytest.mark.slow

PERSON = ",".join(map(str, list(EXAMPLE.values())[1:]))


def failing(status, times, **headers):
    """Return a handler that answers so a few times, and then lets requests through."""
    left = [times]

    def handle(route):
        left[0] -= 1
        if left[0] < 0:
            route.continue_()
        else:
            route.fulfill(status=status, headers=headers, json={"error": "no", "detail": []})

    return handle


@pytest.mark.parametrize(("status", "told"), [(429, "has had many requests"), (503, "is busy")])
def test_after_a_refusal_it_tries_again_when_the_service_says(page, api, expected_complaints, status, told):
    expected_complaints.append(str(status))
    page.route("**/predict", failing(status, 1, **{"retry-after": "2"}))
    page.locator("#age").fill("70")
    page.wait_for_function("() => document.querySelector('#problem').textContent != ''")
    assert re.search(f"{told}.*Trying again in 2 seconds", page.locator("#problem").inner_text())
    assert len(shown(page)) == 18
    page.locator("#age").fill("40")  # the last change counts
    wait_for(page, ranked(api, {**EXAMPLE, "age": 40}))
    assert page.locator("#problem").inner_text() == ""


@pytest.mark.parametrize("how", ["refused", "lost", "cut off"])
def test_a_first_question_that_fails_is_asked_again(open_page, api, expected_complaints, how):
    expected_complaints += ["503", "ERR_FAILED"]
    refused, left = failing(503, 1, **{"retry-after": "1"}), [1]

    def fail(route):
        left[0] -= 1
        if how == "refused":
            refused(route)
        elif left[0] < 0:
            route.continue_()
        elif how == "lost":
            route.abort()
        else:
            route.fulfill(status=200, body='{"risks": [')

    page = open_page(routes={"**/predict": fail})
    wait_for(page, ranked(api, EXAMPLE))
    assert left[0] == -1
    assert page.locator("#problem").inner_text() == ""


def test_a_server_that_stops_and_starts_again_is_waited_for(page, api, restarted, expected_complaints):
    expected_complaints.append("ERR_")
    restarted.stop()
    try:
        page.locator("#age").fill("22")
        page.wait_for_function("() => document.querySelector('#problem').textContent != ''")
        assert page.locator("#problem").inner_text().startswith("The service cannot be reached. Trying again in")
        assert len(shown(page)) == 18
    finally:
        restarted.start()
    page.wait_for_function("() => document.querySelector('#problem').textContent == ''", timeout=60_000)
    wait_for(page, ranked(api, {**EXAMPLE, "age": 22}))


@pytest.fixture(scope="module")
def locked(serve, store, tmp_path_factory):
    """A server that wants a key, and two keys that it takes: one for all that the page asks, one for less."""
    keys = {"right predict,read": "right-key", "narrow predict": "narrow-key"}
    lines = [f"{scopes} {hashlib.sha256(key.encode()).hexdigest()}" for scopes, key in keys.items()]
    home = shutil.copytree(store, tmp_path_factory.mktemp("locked") / "home")
    with serve(home, DRUGPRED_API_KEYS=";".join(lines)) as server:
        yield server.url


def test_a_key_is_asked_for_and_goes_nowhere_but_into_the_header(open_page, api, locked, expected_complaints):
    expected_complaints.append("401")
    page = open_page(base=locked, wait=False)
    asked = []
    page.on("request", lambda request: asked.append((request.url, request.headers.get("authorization"))))
    field = page.get_by_label("API key")
    field.fill("wrong-key")
    field.press("Enter")
    page.wait_for_function("() => document.querySelector('#key-problem').textContent != ''")
    assert page.locator("#key-problem").inner_text() == "The service rejected this key."
    field.fill("right-key")
    page.get_by_role("button", name="Use this key").click()
    wait_for(page, ranked(api, EXAMPLE))
    assert page.locator("#access").is_hidden()
    page.locator("#age").fill("20")
    wait_for(page, ranked(api, {**EXAMPLE, "age": 20}))
    page.locator("#model-details summary").click()
    page.wait_for_selector("#model-facts table")
    assert "Not available" not in page.locator("#model-facts").inner_text()
    with page.expect_download() as report:
        page.locator("#report").click()
    assert b"<svg" in report.value.path().read_bytes()
    page.set_input_files(
        "#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": f"{','.join(INPUTS)}\n{PERSON}\n".encode()}
    )
    page.wait_for_function("() => document.querySelector('#many-status').textContent == '1 row scored.'")
    page.get_by_role("button", name="Copy a link").click()
    keys = {key for url, key in asked if re.search("/(predict|predict_batch|model|drift|app/report/)$", url)}
    assert keys == {"Bearer wrong-key", "Bearer right-key"}
    kept = page.evaluate("JSON.stringify([location.href, {...localStorage}, {...sessionStorage}, document.cookie])")
    assert not re.search("-key", kept + "".join(url for url, _ in asked) + page.locator("#link").input_value())


def test_a_key_without_the_scope_is_reported(open_page, locked, expected_complaints):
    expected_complaints += ["401", "403"]
    page = open_page(base=locked, wait=False)
    page.get_by_label("API key").fill("narrow-key")
    page.get_by_role("button", name="Use this key").click()
    page.wait_for_selector("#risks li")
    page.locator("#model-details summary").click()
    page.wait_for_function("() => document.querySelector('#model-facts').textContent.includes('Service')")
    known = page.locator("#model-facts").inner_text()
    assert known.count("Not available: This key is not allowed to do that.") == 2
    assert "Version" not in known
    page.locator("#report").click()
    page.wait_for_function("() => document.querySelector('#report-problem').textContent != ''")
    assert page.locator("#report-problem").inner_text() == "Not available: This key is not allowed to do that."


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("absent", "Not available: The service answered 404: Not Found"),
        ("broken", "Not available: The service answered 500: "),
        ("lost", "Not available: The service cannot be reached."),
    ],
)
def test_without_drift_the_page_reports_it_and_shows_the_rest(open_page, api, expected_complaints, how, told):
    expected_complaints += ["404", "500", "ERR_FAILED"]

    def fail(route):
        if how == "lost":
            route.abort()
        else:
            route.fulfill(status=404 if how == "absent" else 500, body="Not Found")

    page = open_page(routes={"**/drift": fail})
    page.locator("#model-details summary").click()
    page.wait_for_selector("#model-facts table")
    assert told in page.locator("#model-facts").inner_text()
    assert api.get("/model").json()["model"] in page.locator("#model-facts").inner_text()
    page.locator("#age").fill("50")
    wait_for(page, ranked(api, {**EXAMPLE, "age": 50}))


@pytest.mark.parametrize("source", ["simulated", "file"])
def test_where_the_data_is_not_the_survey_it_says_so(open_page, api, source):
    def other(route):
        answer = route.fetch().json()
        route.fulfill(json=answer | {"data_source": source})

    page = open_page(routes={"**/predict": other})
    page.wait_for_function(
        "() => !document.querySelector('#simulated').hidden || !document.querySelector('#file-source').hidden"
    )
    assert page.locator("#simulated").is_visible() == (source == "simulated")
    assert page.locator("#file-source").is_visible() == (source == "file")
    if source == "simulated":
        size = page.evaluate("parseFloat(getComputedStyle(document.querySelector('#simulated strong')).fontSize)")
        assert page.locator("#simulated strong").inner_text() == "SIMULATED"
        assert size >= 32


@pytest.mark.parametrize("kind", ["html", "refusal"])
def test_messages_of_the_service_are_shown_as_text(page, expected_complaints, kind):
    evil = "<img src=x onerror=\"document.title='owned'\">"
    detail = [{"loc": ["age"], "msg": evil, "type": "x"}]
    expected_complaints += ["400", "500"]
    status = 400 if kind == "refusal" else 500
    page.route(
        "**/predict", lambda route: route.fulfill(status=status, body=json.dumps({"error": evil, "detail": detail}))
    )
    page.locator("#age").fill("33")
    page.wait_for_function("() => document.querySelector('#problem').textContent.includes('<img')")
    assert page.locator("img").count() == 0
    assert page.title() != "owned"


def test_an_answer_that_is_cut_off_is_asked_for_again(page, api):
    left = [1]

    def cut(route):
        left[0] -= 1
        route.fulfill(status=200, body='{"risks": [') if left[0] >= 0 else route.continue_()

    page.route("**/predict", cut)
    page.locator("#age").fill("45")
    wait_for(page, ranked(api, {**EXAMPLE, "age": 45}))
