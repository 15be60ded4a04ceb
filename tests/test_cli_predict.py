"""`drugpred predict`: the command as a user runs it."""

import json

import httpx
import pytest
from click.testing import CliRunner

from drugpred import model_store
from drugpred.cli import main
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, WINDOWS
from drugpred.schemas import EXAMPLE


@pytest.fixture
def run(stored_model, monkeypatch):
    """Run the command with the stored model; `found` are the tags that it looked up."""
    found = []
    monkeypatch.setattr(model_store, "resolve", found.append)
    monkeypatch.setattr(model_store, "read", lambda _: stored_model)

    def run(*arguments, stdin=None):
        return CliRunner().invoke(main, ["predict", *map(str, arguments)], input=stdin)

    run.found = found
    return run


def options(person):
    return [part for name, value in person.items() for part in (f"--{name.replace('_', '-')}", value)]


def table_of(output):
    """Return the rows of the first table, by drug."""
    _, table, *_ = output.split("\n\n")
    header, *rows = (
        line.replace(" Risk", "_Risk").replace("base rate", "base_rate").split() for line in table.splitlines()
    )
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"drugs": ["lsd", "cannabis"], "window": "month"},
        {"include": ["windows", "explanation"], "drugs": ["lsd"]},
        {"include": ["windows", "interval", "support"]},
        {"include": ["explanation", "interval", "support"], "drugs": ["lsd"]},
    ],
    ids=str,
)
@pytest.mark.xdist_group("server")
def test_the_answer_is_that_of_the_service(run, server, change):
    served = httpx.post(f"{server.url}/predict", json=EXAMPLE | change).json()
    result = run("-", "--json", stdin=json.dumps(EXAMPLE | change))
    answer = json.loads(result.output)
    assert result.exit_code == 0
    assert answer.pop("prediction_id") != served.pop("prediction_id")
    assert answer == served
    assert list(answer) == list(served)


def test_options_describe_a_person_as_json_does(run, tmp_path):
    (tmp_path / "person.json").write_text(json.dumps(EXAMPLE), encoding="utf-8-sig")
    by_options = run(*options(EXAMPLE))
    assert by_options.exit_code == 0, by_options.output
    assert run("-", stdin=json.dumps(EXAMPLE)).output == by_options.output
    assert run(tmp_path / "person.json").output == by_options.output


def test_options_take_precedence_over_the_file(run):
    person = EXAMPLE | {"country": "USA", "window": "day", "drugs": ["crack"]}
    arguments = ["--country", "UK", "--window", "year", "--drugs", "lsd,cannabis"]
    asked = json.loads(run("-", "--json", *arguments, stdin=json.dumps(person)).output)
    plain = json.loads(run("--json", *options(EXAMPLE), "--window", "year").output)
    assert asked["window"] == "year"
    assert asked["risks"] == [risk for risk in plain["risks"] if risk["drug"] in ("lsd", "cannabis")]
    kept = json.loads(run("-", "--json", stdin=json.dumps(person)).output)
    assert ([risk["drug"] for risk in kept["risks"]], kept["window"]) == (["crack"], "day")


def test_labels_that_people_use_and_totals_are_accepted(run):
    usual = {"country": "United States", "education": "PhD", "age": "25 to 34"}
    published = {"country": "USA", "education": "Doctorate degree", "age": "25-34"}
    assert run(*options(EXAMPLE | usual)).output == run(*options(EXAMPLE | published)).output
    totals = dict.fromkeys(("neuroticism", "extraversion", "openness", "agreeableness", "conscientiousness"), 37)
    assert run(*options(EXAMPLE | totals), "--scale", "raw").exit_code == 0
    result = run(*options(EXAMPLE | {"openness": 37}))
    assert result.exit_code == 2
    assert "openness: expected a number from -3.27393 to 2.90161, or with scale raw a total from 12" in result.output


def test_the_table_has_every_drug_the_most_probable_first(run, stored_model):
    output = run(*options(EXAMPLE)).output
    answer = json.loads(run(*options(EXAMPLE), "--json").output)
    rows = table_of(output)
    assert set(rows) == set(DRUGS)
    assert [row["probability"] for row in rows.values()] == sorted(
        (f"{risk['probability']:.4f}" for risk in answer["risks"]), reverse=True
    )
    for risk in answer["risks"]:
        row = rows[risk["drug"]]
        assert row["label"] == risk["label"].replace(" ", "_")
        assert row["reliable"] == ("yes" if risk["reliable"] else "no")
    assert stored_model.tag in output.splitlines()[0]


def test_the_table_has_windows_and_contributions_that_add_up(run):
    arguments = [*options(EXAMPLE), "--include", "windows", "--include", "explanation", "--drugs", "lsd,cannabis"]
    output = run(*arguments).output
    answer = {risk["drug"]: risk for risk in json.loads(run(*arguments, "--json").output)["risks"]}
    for drug, row in table_of(output).items():
        assert [row[window] for window in WINDOWS] == [f"{answer[drug]['windows'][window]:.4f}" for window in WINDOWS]
    parts = dict(part.split("\n", 1) for part in output.strip().split("\n\n")[2:])
    assert set(parts) == {"log-odds of lsd", "log-odds of cannabis"}
    lines = [line.split() for line in parts["log-odds of lsd"].splitlines()]
    assert lines[0][0] == "base"
    assert {name for name, _ in lines} == {"base", *INPUTS}
    explanation = answer["lsd"]["explanation"]
    assert [value for _, value in lines[1:]] == [
        f"{value:+.4f}" for value in sorted(explanation["contributions"].values(), key=lambda value: -abs(value))
    ]


def test_the_newest_model_is_asked_and_another_by_its_tag(run):
    run(*options(EXAMPLE))
    run(*options(EXAMPLE), "--model", "drug_consumption:abc")
    assert run.found == ["drug_consumption", "drug_consumption:abc"]


@pytest.mark.parametrize(
    ("change", "meant"),
    [
        ({"country": "Untied States"}, "United States"),
        ({"education": "bachelor degre"}, "Bachelor degree"),
        ({"gender": "femal"}, "Female"),
        ({"ethnicity": "WHITEE"}, "White"),
        ({"drugs": "canabis"}, "cannabis"),
    ],
    ids=str,
)
def test_a_name_that_is_nearly_right_is_met_with_the_right_one(run, change, meant):
    result = run(*options(EXAMPLE | change))
    assert result.exit_code == 2
    assert f"; did you mean {meant}?" in result.output
    assert next(iter(change.values())) not in result.output
    if "drugs" in change:
        change = {"drugs": [change["drugs"]]}
    result = run("-", stdin=json.dumps(EXAMPLE | change))
    assert result.exit_code == 2
    assert f"; did you mean {meant}?" in result.output


@pytest.mark.parametrize("text", ["zebra", "", "12"])
def test_a_name_that_is_nowhere_near_is_met_with_the_list_alone(run, text):
    result = run(*options(EXAMPLE | {"country": text}))
    assert result.exit_code == 2
    assert "country: expected one of Australia | " in result.output
    assert "did you mean" not in result.output


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        ([], None, f"expected also {', '.join(INPUTS)}: each as an option, or in the JSON"),
        (["--age", "25"], None, f"expected also {', '.join(INPUTS[1:])}"),
        (["-"], "{", "expected JSON: "),
        (["-"], "", "expected JSON: "),
        (["-"], "[1]", "expected a JSON object"),
        (["-"], json.dumps(EXAMPLE | {"surname": "secret"}), "profile: expected no unknown field"),
        (["-", "--window", "hour"], "{}", "'--window'"),
        (["absent.json"], None, "absent.json"),
        (options(EXAMPLE | {"age": 17}), None, "age: expected a whole number from 18 to 120"),
        (options(EXAMPLE | {"openness": "nan"}), None, "openness: "),
    ],
    ids=str,
)
def test_errors_name_no_value(run, arguments, stdin, expected):
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 2
    assert expected in result.output
    assert "secret" not in result.output
    assert "Traceback" not in result.output


def test_every_input_is_an_option_with_its_choices(run):
    text = " ".join(run("-h").output.split())
    for category in CATEGORIES:
        assert f"--{category.name} " in text
        assert all(label.split()[-1] in text for label in category.labels)
    assert "Standardized, from -3.46436 to 3.27393, or a total from 12 to 60 with --scale raw." in text


def test_the_table_has_bounds_and_a_line_of_support(run):
    result = run(*options(EXAMPLE), "--include", "interval", "--include", "support")
    answer = json.loads(run(*options(EXAMPLE), "--include", "interval", "--include", "support", "--json").output)
    rows = table_of(result.output)
    for risk in answer["risks"]:
        interval = {name: f"{value:.4f}" for name, value in risk["interval"].items()}
        assert rows[risk["drug"]].items() >= interval.items()
    support = answer["support"]
    assert f"support {support['level']}: {support['similar']} similar respondents" in result.output
