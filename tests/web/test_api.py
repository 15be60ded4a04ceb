"""The page of the API: every operation of the document, with a call that works."""

import json
import subprocess

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def open_api(open_page, url):
    """Return a function that opens the page of the API."""

    def opened(**settings):
        page = open_page(wait=False, **settings)
        page.goto(f"{url}/")
        page.wait_for_selector(".operation")
        return page

    return opened


def send(page, operation):
    """Open an operation, send its call and return the status line."""
    operation.locator("summary").click()
    operation.get_by_role("button", name="Send").click()
    operation.locator(".outcome strong, .outcome .problem").wait_for()
    return operation.locator(".outcome p").first.inner_text()


def test_all_operations_are_listed_by_tag(open_api, api):
    page, document = open_api(), api.get("/docs.json").json()
    operations = [(path, each) for path, item in document["paths"].items() for each in item.values() if "tags" in each]
    for tag in document["tags"]:
        shown = page.locator("section", has=page.get_by_role("heading", name=tag["name"])).locator("summary code")
        assert shown.all_inner_texts() == [path for path, each in operations if each["tags"] == [tag["name"]]]
    assert page.locator(".operation").count() == len(operations)


def test_every_call_works_when_it_is_sent(open_api, expected_complaints):
    expected_complaints.append("404")
    page = open_api()
    for operation in page.locator(".operation").all():
        path = operation.locator("summary code").inner_text()
        # This service has no challenger.
        assert send(page, operation).startswith("404 " if path == "/challenger" else "200 "), path


def test_a_changed_body_is_sent_and_its_error_is_shown(open_api, expected_complaints):
    expected_complaints.append("400")
    page = open_api()
    operation = page.locator("#post-predict")
    operation.locator("summary").click()
    body = json.loads(operation.locator("textarea").input_value())
    operation.locator("textarea").fill(json.dumps(body | {"age": 7}))
    operation.get_by_role("button", name="Send").click()
    operation.locator(".outcome strong").wait_for()
    assert operation.locator(".outcome strong").inner_text().startswith("400 ")
    assert "a whole number from 18 to 120" in operation.locator(".outcome pre").inner_text()


def test_the_curl_gets_the_answer(open_api, api):
    page = open_api()
    operation = page.locator("#post-predict")
    operation.locator("summary").click()
    # Written by an event that comes after the click.
    command = operation.locator("h3 + pre", has_text="curl").inner_text()
    answer = subprocess.run(["bash", "-c", command], capture_output=True, check=True, timeout=60).stdout
    body = json.loads(operation.locator("textarea").input_value())
    expected = api.post("/predict", json=body).json()["risks"]
    assert [risk["probability"] for risk in json.loads(answer)["risks"]] == pytest.approx(
        [risk["probability"] for risk in expected], abs=1e-12
    )


def test_a_key_goes_into_the_header_and_not_into_the_code(open_api):
    page = open_api()
    page.get_by_label("API key").fill("my-key")
    operation = page.locator("#get-model")
    with page.expect_request("**/model") as sent:
        send(page, operation)
    assert sent.value.headers["authorization"] == "Bearer my-key"
    assert "my-key" not in operation.locator("h3 + pre").inner_text()
    assert "$KEY" in operation.locator("h3 + pre").inner_text()


def test_it_has_the_policy_of_the_page_and_links_to_it(open_api, api):
    assert api.get("/").headers["content-security-policy"] == api.get("/app").headers["content-security-policy"]
    page = open_api()
    page.get_by_role("link", name="The page for people").click()
    page.wait_for_selector("#risks li")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_no_barrier_and_nothing_cut_off(open_api, axe, scheme, width):
    page = open_api(viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert axe(page) == []
    send(page, page.locator("#post-predict"))
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
