"""`drugpred drift`."""

import csv
from xml.etree import ElementTree as ET

import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from drugpred.cli import main
from drugpred.codebook import DRUGS, INPUTS
from drugpred.data.respondents import write_csv


@pytest.fixture
def run(store, tmp_path, monkeypatch):
    """Run the command in an empty folder, on the model of the store."""
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.models import ModelStore

    monkeypatch.chdir(tmp_path)
    BentoMLContainer.model_store.set(ModelStore(store / "models"))
    yield lambda *arguments: CliRunner().invoke(main, ["drift", *map(str, arguments)])
    BentoMLContainer.model_store.reset()


@pytest.fixture
def people(real, tmp_path):
    """The respondents as decoded CSV."""
    with (tmp_path / "people.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(real.frame, file, header=True)
    return tmp_path / "people.csv"


@pytest.fixture
def moved(people, tmp_path):
    """The respondents of one country alone, as profiles."""
    with people.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Country"] == "UK"]
    with people.open(encoding="utf-8") as file:
        headings = file.readline().strip().split(",")[1:13]
    with (tmp_path / "moved.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(INPUTS)
        writer.writerows([row[heading] for heading in headings] for row in rows)
    return tmp_path / "moved.csv"


def test_the_respondents_trained_on_have_not_moved(run, people, bundle):
    result = run(people)
    for name in INPUTS:
        (line,) = [line for line in result.output.splitlines() if line.split()[:1] == [name]]
        assert line.split()[1] == "0.0000"
        assert "drift" not in line
    assert "1885 profiles" in result.output
    assert bundle.tag in result.output
    # Their scores are not the cross-validated ones, so the small model may see drift of some.
    assert result.exit_code == (3 if "profiles: drift of P(" in result.output else 0)


def test_what_has_moved_is_told_and_the_exit_code_says_so(run, moved):
    result = run(moved)
    assert result.exit_code == 3
    assert "1044 profiles: drift of age, " in result.output
    (line,) = [line for line in result.output.splitlines() if line.split()[:1] == ["country"]]
    _, psi, threshold, said = line.split()
    assert float(psi) > float(threshold)
    assert said == "drift"


def test_parquet_gives_the_same(run, moved, tmp_path):
    table = pyarrow.csv.read_csv(moved)
    pyarrow.parquet.write_table(table, tmp_path / "moved.parquet")
    assert run(tmp_path / "moved.parquet").output == run(moved).output


@pytest.mark.parametrize("name", ["drift.html", "drift.svg"])
def test_a_picture_is_written(run, moved, tmp_path, name):
    assert run(moved, "--output", name).exit_code == 3
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert "moved.csv against drug_consumption:" in text
    svg = text[text.index("<svg") : text.index("</svg>") + 6]
    names = [each.text for each in ET.fromstring(svg).iter() if each.get("class") == "name"]
    assert names == [*INPUTS, *(f"P({drug})" for drug in DRUGS)]
    assert (text.index("<svg") == 0) == name.endswith(".svg")


def test_rows_that_are_no_profile_are_left_out(run, moved):
    lines = moved.read_text(encoding="utf-8").splitlines()
    fields = lines[1].split(",")
    lines += [lines[1].replace(fields[-1], "99"), "marked,fields"]
    moved.write_text("\n".join(lines), encoding="utf-8")
    result = run(moved)
    assert "1044 profiles: drift of age, " in result.output
    assert "2 rows left out" in result.output
    assert "marked" not in result.output


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        ("few", "few.csv", "expected 100 profiles or more"),
        ("none", "none.csv", "expected at least one possible profile"),
        ("headings", "headings.csv", "expected columns for gender"),
        ("name", "people.txt", ".csv or .parquet"),
        ("parquet", "people.parquet", "expected a Parquet file"),
    ],
)
def test_what_cannot_be_told_is_refused(run, moved, tmp_path, content, name, expected):
    lines = moved.read_text(encoding="utf-8").splitlines()
    lines = {"few": lines[:60], "none": [lines[0], "marked" + "," * 11], "headings": ["age", "marked"]}.get(
        content, lines
    )
    (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    result = run(name)
    assert result.exit_code == 2
    assert expected in result.output
    assert "marked" not in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(["absent.csv"], 2), (["moved.csv", "--output", "drift.png"], 2), (["moved.csv", "--output", "absent/d.svg"], 1)],
)
def test_what_cannot_be_done_is_told_in_words(run, moved, arguments, exit_code):
    result = run(*arguments)
    assert result.exit_code == exit_code
    assert "Error: " in result.output
    assert isinstance(result.exception, SystemExit)
