"""Many people: CSV in, CSV out."""

import csv
import io
import json

import numpy as np
import pytest

from drugpred.codebook import DRUGS, INPUTS, describe
from drugpred.data.simulator import Cohort
from tests.web.people import EXAMPLE

pytestmark = pytest.mark.slow

HEADER = ",".join(INPUTS)
GOOD = "25,F,University degree,UK,White,0.31,-0.58,1.24,-0.3,-0.14,0.53,0.77"


def give(page, text, name="people.csv"):
    content = text if isinstance(text, bytes) else text.encode()
    page.set_input_files("#file", {"name": name, "mimeType": "text/csv", "buffer": content})


def status(page):
    page.wait_for_function(
        "() => document.querySelector('#many-busy').hidden && document.querySelector('#many-status').textContent",
        timeout=90_000,
    )
    return page.locator("#many-status").inner_text()


def downloaded(page, name):
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    with download.value.path().open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)), download.value.suggested_filename


@pytest.fixture(scope="module")
def cohort():
    """10,000 simulated people as callers write them."""
    return [describe(row) for row in Cohort.load().rows(10_000, np.random.default_rng(7)).tolist()]


def as_csv(people):
    file = io.StringIO()
    writer = csv.DictWriter(file, ["id", *INPUTS])
    writer.writeheader()
    writer.writerows({"id": f"p{i}", **person} for i, person in enumerate(people))
    return file.getvalue()


def test_ten_thousand_rows_have_the_probabilities_of_the_service(page, api, cohort):
    in_flight, most, sizes = [0], [0], []

    def begin(request):
        if request.url.endswith("/predict_batch"):
            in_flight[0] += 1
            most[0] = max(most[0], in_flight[0])
            sizes.append(len(json.loads(request.post_data)["profiles"]))

    page.on("request", begin)
    page.on(
        "requestfinished",
        lambda request: in_flight.__setitem__(0, in_flight[0] - request.url.endswith("/predict_batch")),
    )
    give(page, as_csv(cohort), "my people.csv")
    assert status(page) == "10,000 rows scored."
    assert sizes == [1000] * 10
    assert most[0] <= 2
    rows, name = downloaded(page, "Download the CSV with predictions")
    assert name == "my people.scored.csv"
    assert list(rows[0]) == ["id", *DRUGS]
    assert [row["id"] for row in rows] == [f"p{i}" for i in range(10_000)]
    for start in range(0, 10_000, 1000):
        answers = api.post("/predict_batch", json={"profiles": cohort[start : start + 1000]}).json()
        for row, answer in zip(rows[start : start + 1000], answers, strict=True):
            expected = [risk["probability"] for risk in answer["risks"]]
            assert [float(row[drug]) for drug in DRUGS] == pytest.approx(expected, abs=1e-12)


def test_ids_that_a_spreadsheet_would_run_are_made_texts(page):
    ids = ['=HYPERLINK("http://one.example")', "@SUM(1+1)", "+1+1", "-1+1", "\t=1+1", "-5", "+5", "plain", "a=1"]
    file = io.StringIO()
    csv.writer(file).writerows([["id", *INPUTS], *([one, *GOOD.split(",")] for one in ids)])
    give(page, file.getvalue())
    assert status(page) == f"{len(ids)} rows scored."
    rows, _ = downloaded(page, "Download the CSV with predictions")
    assert [row["id"] for row in rows] == [f"'{one}" for one in ids[:5]] + ids[5:]


def test_rows_that_cannot_be_scored_are_listed_by_line(page, api):
    lines = [
        HEADER,
        GOOD,
        GOOD.replace("25", "17", 1),
        GOOD.replace("UK", "Utopia").replace("0.77", "9"),
        "25,F",
        GOOD.replace("0.31", "x"),
        GOOD.replace("F,", '"F,', 1),
        "",
        GOOD.replace("25", '"25-34"', 1).replace(
            "University degree", '"Some college or university, no certificate or degree"'
        ),
    ]
    give(page, "\ufeff" + "\r\n".join(lines))
    assert status(page) == "2 rows scored, 6 rows left out."
    cells = [
        row.split("\t") for row in page.get_by_role("table", name="Rows left out").locator("tbody tr").all_inner_texts()
    ]
    assert [(line, column) for line, column, _ in cells] == [
        ("3", "age"), ("4", "country"), ("4", "sensation_seeking"), ("5", ""), ("6", "neuroticism"),
        ("7", ""), ("8", ""),
    ]  # fmt: skip
    assert [expected for _, _, expected in cells] == [
        "a whole number from 18 to 120, or one of 18-24 | 25-34 | 35-44 | 45-54 | 55-64 | 65+",
        "one of Australia | Canada | New Zealand | Other | Republic of Ireland | UK | USA",
        "a number from -2.07848 to 1.92173",
        "12 fields",
        "a number",
        "quotes that open and close around a whole field",
        "12 fields",
    ]
    rows, _ = downloaded(page, "Download the CSV with predictions")
    assert [row["line"] for row in rows] == ["2", "9"]
    rejected, name = downloaded(page, "Download the list of rows left out")
    assert name == "people.rejected.csv"
    assert rejected == [dict(zip(("line", "column", "expected"), cell, strict=True)) for cell in cells]


@pytest.fixture(autouse=True)
def _refusals_are_no_complaint(expected_complaints):
    expected_complaints.append("400")


MALFORMED = [
    ("", "The file is empty: expected a line of column names, and a line for each person."),
    (HEADER, "The file has no people: expected a line for each person below the column names."),
    (GOOD + "\n" + GOOD, "Line 1 must name the columns. Missing: " + ", ".join(INPUTS) + "."),
    (HEADER + ",age\n", "Line 1 names a column more than once: age."),
    (HEADER + ",nscore\n", "Line 1 names a column more than once: neuroticism."),
    (
        HEADER + ",<img src=x onerror=alert(1)>\n",
        "Line 1 names columns that are neither inputs nor an id: <img src=x onerror=alert(1)>.",
    ),
    ('"age', "quotes that open and close around a whole field"),
    (b"\x00\xff\xfe\x01" * 50, "Line 1 must name the columns. Missing: " + ", ".join(INPUTS) + "."),
]
"""Files, each with its refusal, which differs from that of the file before."""


def test_a_malformed_file_is_refused_with_the_expected_value(page):
    for text, expected in MALFORMED:
        give(page, text, "<img src=x onerror=alert(1)>.csv")
        page.wait_for_function(
            "text => document.querySelector('#many-busy').hidden && "
            "document.querySelector('#many-status').textContent === text",
            arg=expected,
        )
        assert page.locator("#many-result > *").count() == 0
        assert page.locator("img").count() == 0


def test_the_decoded_csv_and_raw_totals_are_understood(page, api, decoded_path):
    head = "\n".join(decoded_path.read_text(encoding="utf-8").splitlines()[:21])
    give(page, head)
    assert status(page) == "20 rows scored."
    raw = "age,gender,education,country,ethnicity,nscore,escore,oscore,ascore,cscore,impulsiveness,ss\n"
    page.get_by_label("The five NEO scores are raw totals").check()
    page.get_by_label("Used within").select_option("month")
    give(page, raw + "30,Female,university degree,uk,white,40,41,52,39,35,0.5,1\n")
    assert status(page) == "1 row scored."
    (row,), _ = downloaded(page, "Download the CSV with predictions")
    totals = {"neuroticism": 40, "extraversion": 41, "openness": 52, "agreeableness": 39, "conscientiousness": 35}
    person = {**EXAMPLE, **totals, "impulsivity": 0.5, "sensation_seeking": 1, "scale": "raw", "window": "month"}
    risks = api.post("/predict", json=person).json()["risks"]
    assert [float(row[risk["drug"]]) for risk in risks] == pytest.approx(
        [risk["probability"] for risk in risks], abs=1e-12
    )


@pytest.mark.parametrize("fault", ["429", "503", "lost"])
def test_a_refused_or_lost_part_is_sent_again(page, expected_complaints, fault):
    expected_complaints += ["429", "503", "ERR_"]
    left = [2]

    def handle(route):
        left[0] -= 1
        if left[0] < 0:
            route.continue_()
        elif fault == "lost":
            route.abort("connectionreset")
        else:
            route.fulfill(status=int(fault), headers={"retry-after": "1"}, json={"error": "no", "detail": []})

    page.route("**/predict_batch", handle)
    give(page, "\n".join([HEADER, *[GOOD] * 2500]))
    page.wait_for_function(
        "() => document.querySelector('#many-status').textContent.includes('Trying again in 1 second.')"
    )
    assert status(page) == "2,500 rows scored."
    rows, _ = downloaded(page, "Download the CSV with predictions")
    assert [row["line"] for row in rows] == [str(line) for line in range(2, 2502)]


def test_it_can_be_cancelled_and_begun_again(page):
    page.route("**/predict_batch", lambda route: None)  # no answer ever comes
    give(page, f"{HEADER}\n{GOOD}")
    page.get_by_role("button", name="Cancel").click()
    assert status(page) == "Cancelled. Nothing was kept."
    page.unroute_all()
    give(page, f"{HEADER}\n{GOOD}")
    assert status(page) == "1 row scored."


def drop(page, text):
    transfer = page.evaluate_handle(
        "text => { const data = new DataTransfer(); data.items.add(new File([text], 'dropped.csv')); return data; }",
        text,
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def test_a_file_may_be_dropped(page):
    drop(page, f"{HEADER}\n{GOOD}")
    assert status(page) == "1 row scored."


@pytest.mark.parametrize("put", [give, drop])
def test_a_file_given_before_the_section_is_loaded_is_scored(open_page, put):
    held = []
    page = open_page(routes={"**/many.js": lambda route: held.append(route)})
    # All modules of the page's later parts start together: until then a click would do nothing.
    assert {"sample", "code-copy"} == {
        button.get_attribute("id") for button in page.locator("button:disabled:not(#feedback *)").all()
    }
    put(page, f"{HEADER}\n{GOOD}")
    held[0].continue_()
    assert status(page) == "1 row scored."
    assert page.locator("button:disabled:not(#feedback *)").count() == 0


def test_a_file_dropped_next_to_the_section_does_not_replace_the_page(page):
    assert page.evaluate(
        """() => ['dragover', 'drop'].every(kind => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(['a'], 'people.csv'));
            return !document.body.dispatchEvent(new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true}));
        })"""
    )
