"""The page's files as the service sends them, and the rules that it takes from the codebook."""

import asyncio
import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette

from drugpred import codebook
from drugpred.bulk.column_mapping import map_columns
from drugpred.data.parsing import HEADINGS
from drugpred.errors import DataError
from drugpred.schemas import EXAMPLE, Profile
from drugpred.serving.middleware.security_headers import SecurityHeadersMiddleware
from drugpred.serving.web_app import routes, rules

MAX_BYTES = 150_000
SELF = {"'self'", "'none'", "data:"}


def app_with(model):
    service = SimpleNamespace(scorer=SimpleNamespace(model=model))
    return SecurityHeadersMiddleware(Starlette(routes=routes(lambda: service)))


@pytest.fixture(scope="module")
def get(stored_model):
    app = app_with(stored_model)

    async def send(path, headers):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get(path, headers=headers)

    return lambda path, **headers: asyncio.run(send(path, headers))


@pytest.fixture(scope="module")
def loaded(get):
    """All that the page loads, by path."""
    answers = {"/app": get("/app")}
    wanted = [f"/{path}" for path in re.findall(r'(?:src|href)="(app/[^"]*[^/"])"', answers["/app"].text)]
    while wanted:
        path = wanted.pop()
        if path not in answers:
            answers[path] = get(path)
            imported = re.findall(r'(?:from|import\() ?"\./([^"]*)"', answers[path].text)
            wanted += [f"{path[: path.rindex('/')]}/{name}" for name in imported]
    return answers


def policy(answer):
    directives = [directive.split() for directive in answer.headers["content-security-policy"].split(";")]
    return {name: set(sources) for name, *sources in directives}


def test_all_that_the_page_loads_is_there_and_small(loaded):
    assert {path: answer.status_code for path, answer in loaded.items()} == dict.fromkeys(loaded, 200)
    assert {"/app/main.js", "/app/batches.js", "/app/texts/en.js", "/app/page.css"} <= loaded.keys()
    other_language = "/app/texts/de.js"
    assert sum(len(answer.content) for path, answer in loaded.items() if path != other_language) < MAX_BYTES


def test_nothing_from_outside_is_admitted(loaded):
    for answer in loaded.values():
        admitted = policy(answer)
        assert admitted["default-src"] == {"'none'"}
        assert set().union(*admitted.values()) <= SELF
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_every_module_that_the_first_result_needs_is_announced(loaded):
    page = loaded["/app"].text
    needed, wanted = set(), ["main.js"]
    while wanted:
        name = wanted.pop()
        needed.add(name)
        folder = name[: name.rfind("/") + 1]
        found = {
            folder + other for other in re.findall(r'^import .* from "\./(.*)";', loaded[f"/app/{name}"].text, re.M)
        }
        wanted += found - needed
    needed.add("texts/en.js")  # which texts.js imports for most readers
    assert set(re.findall(r'href="app/(.*\.js)"', page)) | {"main.js"} == needed


def test_the_first_request_comes_first_and_needs_no_other_file(loaded):
    first = re.findall(r"<script[^>]*src=[^>]*>|<link[^>]*app/[^>]*>", loaded["/app"].text)[0]
    assert first == '<script src="app/ask.js">'
    assert "import" not in loaded["/app/ask.js"].text.replace("without imports", "")


def test_the_rules_of_the_form_stand_in_the_page(loaded):
    page = loaded["/app"].text
    (form,) = re.findall(r'<script type="application/json" id="rules">([^<]*)</script>', page)
    assert json.loads(form) == json.loads(json.dumps(rules()))


def test_no_file_holds_markup_in_strings_or_styles(loaded):
    for path, answer in loaded.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", answer.text), path
        if "/texts/" not in path:  # which have links to sources
            assert not re.search(r"https?://(?!www\.w3\.org/2000)", answer.text), path
        assert " style=" not in answer.text, path


def test_a_file_that_did_not_change_is_not_sent_again(get):
    tag = get("/app/main.js").headers["etag"]
    for known in (tag, f'W/{tag}, "other"'):
        again = get("/app/main.js", **{"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert get("/app/main.js", **{"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/app/absent.js", "/app/../page.py", "/app/%2e%2e/%2e%2e/schemas.py", "/app/index.html"]
)
def test_nothing_else_is_sent(get, path):
    assert get(path).status_code == 404


@pytest.mark.parametrize("name", ["card.json", "absent", "%2e%2e%2fcard.json"])
def test_of_the_bundle_only_the_report_is_sent(get, name):
    assert get(f"/app/report/{name}").status_code == 404


def test_the_report_is_sent_with_a_policy_of_its_own(get, stored_model):
    assert get("/app/report").headers["location"] == "report/"
    report = get("/app/report/")
    assert report.content == (stored_model.path / "report" / "index.html").read_bytes()
    admitted = policy(report)
    assert admitted["default-src"] == {"'none'"}
    assert not {"script-src", "connect-src"} & admitted.keys()
    assert len(admitted["style-src-elem"]) == report.text.count("<style>") == 1
    figures = get("/app/report/figures.csv")
    assert figures.headers["content-type"].startswith("text/csv")
    assert figures.content == (stored_model.path / "report" / "figures.csv").read_bytes()


def test_a_report_that_left_the_store_is_not_found(stored_model, tmp_path):
    report = tmp_path / "report"
    shutil.copytree(stored_model.path / "report", report)
    app = app_with(replace(stored_model, path=tmp_path))
    shutil.rmtree(report)

    async def send(path):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get(path)

    for path in ("/app/report/", "/app/report/figures.csv"):
        assert asyncio.run(send(path)).status_code == 404


def is_taken(profile):
    try:
        Profile.model_validate(profile)
    except ValidationError:
        return False
    return True


def test_bounds_of_the_form_are_those_of_a_profile():
    form = rules()
    low, high = form["age"]
    assert [is_taken({**EXAMPLE, "age": age}) for age in (low - 1, low, high, high + 1)] == [False, True, True, False]
    for name, score in form["scores"].items():
        # A bound is taken that single precision has rounded, by some 1e-7.
        bounds = (score["lowest"] - 1e-6, score["lowest"], score["highest"], score["highest"] + 1e-6)
        assert [is_taken({**EXAMPLE, name: value}) for value in bounds] == [False, True, True, False], name
    first, last = form["lowest_total"], form["lowest_total"] + len(form["scores"]["openness"]["totals"]) - 1
    raw = {
        **EXAMPLE,
        **dict.fromkeys([name for name in form["scores"] if "totals" in form["scores"][name]], 40),
        "scale": "raw",
    }
    answers = [is_taken({**raw, "openness": total}) for total in (first - 1, first, last, last + 1)]
    assert answers == [False, True, True, False]
    assert all(is_taken({**EXAMPLE, name: label}) for name, of in form["categories"].items() for label in of["labels"])
    assert set(form["categories"]) | set(form["scores"]) == set(codebook.INPUTS)


def test_headings_of_a_file_are_those_that_the_command_takes():
    form = rules()
    for field, names in form["headings"].items():
        for name in names:
            assert map_columns([name if other == field else other for other in codebook.INPUTS]).inputs[field] == name
        with pytest.raises(DataError):
            map_columns([f"{names[0]}x" if other == field else other for other in codebook.INPUTS])
    assert map_columns([*codebook.INPUTS, *form["passed_over"]])
    everything = {heading.casefold() for heading in HEADINGS.values()} - {"id"}
    assert everything == everything & {
        *form["passed_over"],
        *(name for names in form["headings"].values() for name in names),
    }
