"""A result taken away: as code, as a file, as feedback; and a file of many people summed up."""

import csv
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from drugpred.codebook import DRUGS, INPUTS, WINDOWS
from tests.harness import skip
from tests.web.people import EXAMPLE, ranked, wait_for

pytestmark = pytest.mark.slow

RUN = {
    "curl": ["bash", "-c"],
    "Python": [sys.executable, "-c"],
    "JavaScript": ["node", "--input-type=module", "--eval"],
}


def code(page, language):
    if not page.locator("#code-text").is_visible():
        page.locator("summary", has_text="Use it from code").click()
    page.get_by_role("radio", name=language, exact=True).check()
    return page.locator("#code-text").inner_text()


def test_the_code_gets_the_figures_of_the_form(page, api):
    for command, *_ in RUN.values():
        if shutil.which(command) is None:
            skip(f"no {command} to run the code")
    page.get_by_role("radio", name="NEO-FFI-R totals").check()
    page.locator("#openness-total").fill("52")
    page.locator("#age").fill("41")
    page.get_by_role("radio", name="Month").check()
    raw = dict.fromkeys(("neuroticism", "extraversion", "agreeableness", "conscientiousness"))
    totals = {name: int(page.locator(f"#{name}-total").input_value()) for name in raw} | {"openness": 52}
    person = {**EXAMPLE, **totals, "scale": "raw", "age": 41, "window": "month"}
    expected = {risk["drug"]: risk["probability"] for risk in api.post("/predict", json=person).json()["risks"]}
    for language, command in RUN.items():
        done = subprocess.run([*command, code(page, language)], capture_output=True, text=True, check=True, timeout=60)
        if language == "curl":
            answered = {risk["drug"]: risk["probability"] for risk in json.loads(done.stdout)["risks"]}
        else:
            answered = {drug: float(figure) for drug, figure in (line.split() for line in done.stdout.splitlines())}
        assert answered == pytest.approx(expected, abs=1e-12), language


def test_code_with_a_key_names_a_variable_and_not_the_key(open_page, expected_complaints):
    expected_complaints.append("401")

    def admit(route):
        if route.request.headers.get("authorization"):
            route.continue_()
        else:
            route.fulfill(status=401, json={"error": "no", "detail": []})

    page = open_page(routes={"**/predict": admit}, wait=False)
    page.get_by_label("API key").fill("secret-key")
    page.get_by_role("button", name="Use this key").click()
    page.wait_for_selector("#score-charts svg")
    for language in RUN:
        assert "KEY" in code(page, language)
        assert "secret-key" not in code(page, language)


def test_code_is_copied(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    expected = code(page, "curl")
    page.get_by_role("button", name="Copy the code").click()
    page.wait_for_function("() => document.querySelector('#code-copied').textContent === 'Copied.'")
    assert page.evaluate("navigator.clipboard.readText()") == expected


def saved(page, name):
    if not page.locator("#save").is_visible():
        page.locator("summary", has_text="Save").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()
    return download.value.path().read_bytes(), download.value.suggested_filename


def test_the_result_is_saved_as_json_csv_and_png(page, api):
    with page.expect_response("**/predict") as answer:
        page.locator("#age").fill("60")
    risks = answer.value.json()["risks"]
    wait_for(page, ranked(api, {**EXAMPLE, "age": 60}))
    content, name = saved(page, "JSON")
    assert name == "drugpred.json"
    assert json.loads(content)["request"] == {**EXAMPLE, "age": 60, "window": "decade"}
    assert json.loads(content)["answer"]["risks"] == risks
    content, name = saved(page, "CSV")
    assert name == "drugpred.csv"
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [row["drug"] for row in rows] == list(DRUGS)
    for row, risk in zip(rows, risks, strict=True):
        assert float(row["probability"]) == risk["probability"]
        assert [float(row[bound]) for bound in ("low", "high")] == list(risk["interval"].values())
        assert [float(row[window]) for window in WINDOWS] == [risk["windows"][window] for window in WINDOWS]
    content, name = saved(page, "PNG")
    assert name == "drugpred.png"
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20]) == 1800


def test_figures_of_other_answers_are_not_saved(page):
    page.locator("summary", has_text="Save").click()
    page.locator("#age").fill("7")
    assert page.get_by_role("button", name="CSV", exact=True).is_disabled()
    assert page.locator("#feedback-send").is_disabled()


def test_outcomes_are_reported_once(page, expected_complaints):
    expected_complaints.append("409")
    page.locator("summary", has_text="Report the outcomes").click()
    status = page.locator("#feedback-status")
    page.get_by_role("button", name="Send").click()
    assert status.inner_text() == "Choose at least one outcome."
    page.get_by_label("Cannabis").select_option("used")
    page.get_by_label("LSD").select_option("not used")
    with page.expect_request("**/feedback") as sent:
        page.get_by_role("button", name="Send").click()
    assert json.loads(sent.value.post_data)["outcomes"] == {"cannabis": True, "lsd": False}
    page.wait_for_function("() => document.querySelector('#feedback-status').textContent === '2 outcomes counted.'")
    page.get_by_role("button", name="Send").click()
    page.wait_for_function("() => document.querySelector('#feedback-status').textContent.includes('Not available: ')")


def test_the_sample_file_is_scored_and_summed_up(page, api, tmp_path):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download a sample file").click()
    sample = tmp_path / "sample.csv"
    download.value.save_as(sample)
    rows = list(csv.DictReader(io.StringIO(sample.read_text(encoding="utf-8"))))
    people = [{name: row[name] if row[name][0].isalpha() else float(row[name]) for name in INPUTS} for row in rows]
    people = [{**person, "age": int(person["age"])} for person in people]
    answers = [answer["risks"] for answer in api.post("/predict_batch", json={"profiles": people}).json()]
    page.set_input_files("#file", sample)
    page.wait_for_selector("#many-result table")
    assert page.locator("#many-status").inner_text() == f"{len(rows)} rows scored."
    shares, unusual = page.locator("#many-result table").all()
    cannabis = shares.locator("tr", has_text="Cannabis").inner_text().split("\t")
    of_cannabis = [next(risk for risk in risks if risk["drug"] == "cannabis") for risks in answers]
    assert cannabis[1] == f"{100 * sum(risk['probability'] for risk in of_cannabis) / len(rows):.0f}%"
    assert cannabis[-1] == str(sum(risk["prediction"] for risk in of_cannabis))

    reliable = [[risk["probability"] for risk in risks if risk["reliable"]] for risks in answers]
    distances = np.abs(np.array(reliable) - np.mean(reliable, axis=0)).mean(axis=1)
    assert unusual.locator("tbody th").all_inner_texts() == [rows[i]["id"] for i in np.argsort(-distances)]


def test_links_lead_to_the_data_the_paper_and_the_licence(page):
    assert page.locator("#links a").count() == 4
    assert {link.get_attribute("href").split("/")[2] for link in page.locator("#links a[href^=http]").all()} == {
        "doi.org", "arxiv.org", "opensource.org",
    }  # fmt: skip
