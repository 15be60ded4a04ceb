"""`drugpred drift`."""

import csv
import json
import os
import re
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from drugpred.cli import main
from drugpred.codebook import DRUGS, INPUTS
from drugpred.data.respondents import write_csv
from tests.harness.store import using


@pytest.fixture
def run(store, tmp_path, monkeypatch):
    """Run the command in an empty folder, on the model of the store."""
    monkeypatch.chdir(tmp_path)
    with using(store):
        yield lambda *arguments: CliRunner().invoke(main, ["drift", *map(str, arguments)])


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


def test_the_respondents_trained_on_have_not_moved(run, people, stored_model):
    result = run(people)
    for name in INPUTS:
        (line,) = [line for line in result.output.splitlines() if line.split()[:1] == [name]]
        assert line.split()[1] == "0.0000"
        assert "drift" not in line
    assert "1885 profiles" in result.output
    assert stored_model.tag in result.output
    # Their scores are not the cross-validated ones, so the small model may see drift of some.
    assert result.exit_code == (3 if "30 drifted: P(" in result.output else 0)


def test_drift_is_reported_with_the_exit_code(run, moved):
    result = run(moved)
    assert result.exit_code == 3
    assert " of 30 drifted: age, " in result.output
    (line,) = [line for line in result.output.splitlines() if line.split()[:1] == ["country"]]
    _, psi, threshold, said = line.split()
    assert float(psi) > float(threshold)
    assert said == "drift"


def test_parquet_gives_the_same(run, moved, tmp_path):
    table = pyarrow.csv.read_csv(moved)
    pyarrow.parquet.write_table(table, tmp_path / "moved.parquet")
    assert run(tmp_path / "moved.parquet").output == run(moved).output


def test_json_has_all_figures_and_the_shares_of_each_bin(run, moved, stored_model):
    result = run(moved, "--json")
    assert result.exit_code == 3
    report = json.loads(result.output)
    assert (report["model"], report["profiles"], report["rejected"]) == (str(stored_model.tag), 1044, 0)
    assert list(report["inputs"]) == list(INPUTS)
    assert list(report["scores"]) == list(DRUGS)
    country = report["inputs"]["country"]
    assert country["drifted"]
    assert country["psi"] > country["threshold"]
    assert {bin_["label"]: bin_["profiles"] for bin_ in country["bins"]} == {
        label: float(label == "UK") for label in stored_model.card.input_bins["country"].labels
    }
    assert [bin_["training"] for bin_ in country["bins"]] == list(stored_model.card.input_bins["country"].shares)
    assert (country["missing"], country["unseen"]) == (0, 0)


def test_json_names_missing_values_as_drift(run, moved):
    report = json.loads(run(spoil(moved, "openness", "50", 0.02), "--json").output)
    assert report["inputs"]["openness"]["drifted"]
    assert report["inputs"]["openness"]["unseen"] == pytest.approx(0.02, abs=0.001)
    assert report["rejected"] == 21


def test_another_stored_model_is_measured_against(run, moved, stored_model):
    assert run(moved, "--model", stored_model.tag).output == run(moved).output
    result = run(moved, "--model", "drug_consumption:absent")
    assert result.exit_code == 2
    assert "drug_consumption:absent" in result.output


@pytest.mark.parametrize("name", ["drift.html", "drift.svg"])
def test_a_picture_is_written(run, moved, tmp_path, name):
    assert run(moved, "--output", name).exit_code == 3
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert "moved.csv against drug_consumption:" in text
    names = re.findall('class="name"[^>]*>([^<]+)<', text)
    assert names == [*INPUTS, *(f"P({drug})" for drug in DRUGS)]
    assert re.search(r"1044 profiles, \d+ of 30 drifted: ", text)
    assert (text.index("<svg") == 0) == name.endswith(".svg")


def test_rows_that_are_no_profile_are_left_out(run, moved):
    lines = moved.read_text(encoding="utf-8").splitlines()
    fields = lines[1].split(",")
    lines += [lines[1].replace(fields[-1], "99"), "marked,fields"]
    moved.write_text("\n".join(lines), encoding="utf-8")
    result = run(moved)
    assert " of 30 drifted: age, " in result.output
    assert "2 invalid rows left out" in result.output
    assert "marked" not in result.output


def spoil(path, name, text, share, suffix="csv"):
    """Write a copy in which a share of a column's values are others."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    for row in rows[: round(share * len(rows))]:
        row[header.index(name)] = text
    spoiled = path.with_name(f"spoiled.{suffix}")
    if suffix == "csv":
        with spoiled.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    else:
        columns = {name: [row[i] or None for row in rows] for i, name in enumerate(header)}
        table = pyarrow.table({k: v if k in INPUTS[:5] else [x and float(x) for x in v] for k, v in columns.items()})
        pyarrow.parquet.write_table(table, spoiled)
    return spoiled


@pytest.mark.parametrize(
    ("name", "text", "share", "suffix", "expected"),
    [
        ("age", "", 0.9, "csv", (104, "90.0% missing")),
        ("age", "", 0.99, "csv", (10, "99.0% missing")),
        ("age", "", 1, "csv", (0, "100.0% missing")),
        ("openness", "", 0.9, "parquet", (104, "90.0% missing")),
        ("openness", "nan", 0.9, "parquet", (104, "90.0% missing")),
        ("country", "Atlantis", 0.9, "csv", (104, "90.0% unseen")),
        ("openness", "50", 0.02, "csv", (1023, "2.0% unseen")),
    ],
)
def test_values_that_are_missing_or_unseen_are_drift(run, moved, tmp_path, name, text, share, suffix, expected):
    result = run(spoil(moved, name, text, share, suffix), "--output", "drift.svg")
    assert result.exit_code == 3, result.output
    n, note = expected
    said = result.output.splitlines()
    (line,) = [line for line in said if f"{n} profiles, " in line]
    assert f"{name} ({note})" in line
    assert f"{1044 - n} invalid rows left out" in said
    (row,) = [line for line in said if line.split()[:1] == [name]]
    assert row.split()[-3:] == [*note.split(), "drift"]
    svg = ET.fromstring((tmp_path / "drift.svg").read_text(encoding="utf-8"))
    assert [each.text for each in svg.iter() if each.get("class") == "note"] == [note]
    if text:
        assert f"{text}," not in result.output


def test_a_value_missing_now_and_then_is_none(run, people, tmp_path):
    path = spoil(people, "Age", "", 0.003)  # 6 of 1885; 11 would be too many
    result = run(path)
    (row,) = [line for line in result.output.splitlines() if line.split()[:1] == ["age"]]
    assert row.split()[-2:] == ["0.3%", "missing"]
    assert "missing)" not in result.output


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        ("few", "few.csv", "expected at least 100 profiles"),
        ("none", "none.csv", "expected at least one valid profile"),
        ("headings", "headings.csv", "expected columns for gender"),
        ("name", "people.txt", "expected a name that ends in .csv, .tsv, .data"),
        ("parquet", "people.parquet", "expected a Parquet file"),
    ],
)
def test_too_few_profiles_are_refused(run, moved, tmp_path, content, name, expected):
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
    [
        (["absent.csv"], 2),
        (["moved.csv", "--output", "drift.png"], 2),
        (["moved.csv", "--output", "-"], 2),
        (["moved.csv", "--output", "absent/d.svg"], 2),
        (["moved.csv", "--output", "link.svg"], 2),
        (["moved.csv", "--output", "hard.html"], 2),
        (["pipe.csv"], 2),
        (["."], 2),
    ],
)
def test_errors_are_reported_in_words(run, moved, tmp_path, arguments, exit_code):
    (tmp_path / "link.svg").symlink_to("moved.csv")
    (tmp_path / "hard.html").hardlink_to(moved)
    os.mkfifo(tmp_path / "pipe.csv")
    content = moved.read_bytes()
    result = run(*arguments)
    assert result.exit_code == exit_code
    assert "Error: " in result.output
    assert isinstance(result.exception, SystemExit)
    assert moved.read_bytes() == content


@pytest.mark.parametrize("name", ["uci_path", "decoded_path"])
def test_the_published_files_are_measured_as_they_are(run, request, name):
    path = request.getfixturevalue(name)
    assert f"{1885 if name == 'uci_path' else 1884} profiles, " in run(path).output
    (line,) = [line for line in run(path).output.splitlines() if line.split()[:1] == ["country"]]
    assert line.split()[1] == "0.0000"


@pytest.mark.parametrize("kind", ["float32", "single", 1, 2, 3, 4])
def test_rounding_is_no_drift(run, people, tmp_path, kind):
    whole = run(people).output
    table = pyarrow.csv.read_csv(people)
    for place, name in enumerate(table.column_names):
        if pyarrow.types.is_floating(table[name].type):
            numbers = table[name].to_numpy()
            changed = numbers.round(kind) if isinstance(kind, int) else numbers.astype(np.float32)
            table = table.set_column(place, name, [changed if kind != "single" else changed.astype(np.float64)])
    pyarrow.parquet.write_table(table, tmp_path / "rounded.parquet")
    rounded = run(tmp_path / "rounded.parquet").output
    assert "1885 profiles" in rounded
    assert "rows left out" not in rounded
    moved = [line.split()[0] for line in rounded.splitlines() if line.rstrip().endswith(" drift")]
    assert not set(moved) & set(INPUTS)
    if kind != 1:
        assert rounded == whole


def test_a_picture_of_a_name_that_is_no_utf8(run, moved, tmp_path):
    path = tmp_path / os.fsdecode(b"M\xe4rz.csv")
    moved.rename(path)
    assert run(path, "--output", "d.html").exit_code == 3
    assert "M\ufffdrz.csv against drug_consumption:" in (tmp_path / "d.html").read_text(encoding="utf-8")


def test_a_picture_goes_to_a_pipe_or_through_a_link(run, moved, tmp_path):
    (tmp_path / "true.svg").write_text("before", encoding="utf-8")
    (tmp_path / "link.svg").symlink_to("true.svg")
    assert run(moved, "--output", "link.svg").exit_code == 3
    assert (tmp_path / "link.svg").is_symlink()
    assert (tmp_path / "true.svg").read_text(encoding="utf-8").startswith("<svg")
