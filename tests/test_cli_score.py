"""`drugpred score`: the command as a user runs it."""

import csv
import os
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from drugpred import model_store
from drugpred.cli import main
from drugpred.codebook import DRUGS, INPUTS, SCORES, SUPPORT_LEVELS
from drugpred.schemas import EXAMPLE, Profile


@pytest.fixture
def run(stored_model, tmp_path, monkeypatch):
    """Run the command in an empty folder, with the stored model; `found` are the tags that it looked up."""
    monkeypatch.chdir(tmp_path)
    found = []
    monkeypatch.setattr(model_store, "resolve", found.append)
    monkeypatch.setattr(model_store, "read", lambda _: stored_model)

    def run(*arguments):
        return CliRunner().invoke(main, ["score", *map(str, arguments)])

    run.found = found
    return run


@pytest.fixture
def people(tmp_path):
    """Write a file of three people, one of whom cannot be."""
    people = [EXAMPLE | {"id": "a"}, EXAMPLE | {"id": "b", "age": 3}, EXAMPLE | {"id": "c", "gender": "m", "age": 70}]
    with (tmp_path / "people.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", *INPUTS])
        writer.writeheader()
        writer.writerows(people)
    # A score of two decimals means the published one.
    return [person | {score.name: score.unrounded(person[score.name]) for score in SCORES} for person in people]


def probabilities(stored_model, people, window):
    rows = [Profile(**{name: person[name] for name in INPUTS}).row() for person in people]
    return stored_model.predictor.predict_proba(np.array(rows))[:, :, window]


def test_rows_are_scored_and_the_others_listed_with_exit_code_3(run, stored_model, people, tmp_path):
    result = run("people.csv", "out.csv")
    assert result.exit_code == 3
    assert (
        f"2 rows scored in out.csv with {stored_model.tag}\n1 rows rejected, see out.csv.rejected.csv\n"
        in result.output
    )
    assert run.found == ["drug_consumption"]
    with (tmp_path / "out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row.pop("id") for row in rows] == ["a", "c"]
    found = [[float(row[drug]) for drug in DRUGS] for row in rows]
    assert np.abs(found - probabilities(stored_model, [people[0], people[2]], 1)).max() < 1e-6
    told = (tmp_path / "out.csv.rejected.csv").read_text(encoding="utf-8")
    assert told.startswith("line,column,expected\n3,age,")


def test_all_rows_scored_are_exit_code_0(run, stored_model, tmp_path):
    parquet.write_table(pa.table({name: [EXAMPLE[name]] * 3 for name in INPUTS}), tmp_path / "in.parquet")
    result = run("in.parquet", "out.parquet", "--window", "year", "--drugs", "lsd, cannabis,lsd", "--model", "x:y")
    assert result.exit_code == 0
    assert "rejected" not in result.output
    assert run.found == ["x:y"]
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["line", "lsd", "cannabis"]
    person = EXAMPLE | {score.name: score.unrounded(EXAMPLE[score.name]) for score in SCORES}
    expected = probabilities(stored_model, [person], 2)[0, DRUGS.index("lsd")]
    assert np.abs(np.array(table["lsd"]) - expected).max() < 1e-6
    assert table.schema.metadata == {b"drugpred.model": stored_model.tag.encode(), b"drugpred.window": b"year"}


def test_exact_is_double_precision(run, tmp_path):
    parquet.write_table(pa.table({name: [EXAMPLE[name]] for name in INPUTS}), tmp_path / "in.parquet")
    assert run("in.parquet", "out.parquet", "--drugs", "lsd", "--exact").exit_code == 0
    assert parquet.read_schema(tmp_path / "out.parquet").field("lsd").type == pa.float64()


def test_raw_totals(run, tmp_path):
    neo = ["neuroticism", "extraversion", "openness", "agreeableness", "conscientiousness"]
    person = EXAMPLE | dict.fromkeys(neo, 40)
    parquet.write_table(pa.table({name: [person[name]] for name in INPUTS}), tmp_path / "in.parquet")
    assert run("in.parquet", "out.csv").exit_code == 3
    assert run("in.parquet", "raw.csv", "--scale", "raw").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv", "out.csv"], "absent.csv"),
        (["people.csv", "out.txt"], "expected an output whose name ends in .csv or .parquet"),
        (["people.csv", "-"], "expected an output whose name ends in .csv or .parquet"),
        (["people.csv", "people.csv"], "expected an output other than"),
        (["people.csv", "./sub/../people.csv"], "expected an output other than"),
        (["people.csv", "older.csv"], "expected no older output"),
        (["people.csv", "kept"], "kept to be a folder from an earlier run"),
        (["people.csv", "out.csv", "--workers", "2"], "--workers is for the processes of this machine"),
        (["people.csv", "out.csv", "--keep", "site"], "expected one column 'site' to keep"),
        (["people.csv", "out.csv", "--keep", "id"], "expected to keep other columns than those of the output: id"),
        (["people.csv", "http://localhost/out/"], "expected an output at a URL to be a folder in a bucket"),
        (["people.csv", "s3://bucket/out.csv"], "expected an output at a URL to be a folder in a bucket"),
        (["nonsense://people.csv", "out.csv"], "expected a URL that can be opened"),
        (["people.csv", "kept.csv"], "kept.csv.parts to be a folder from an earlier run"),
        (["pipe.csv", "out.csv"], "expected a regular file, found a pipe"),
        (["people.csv", "absent/out.csv"], "absent/out.csv"),
        (["people.csv", "out.csv", "--drugs", "sugar"], "expected some of alcohol,"),
        (["people.csv", "out.csv", "--drugs", ""], "expected some of alcohol,"),
        (["people.csv", "out.csv", "--window", "hour"], "--window"),
        (["people.csv", "out.csv", "--cluster", "tcp://127.0.0.1:1"], "--cluster is for --engine dask"),
        (["bad.csv", "out.csv"], "line 1: expected columns for age, gender"),
        (["people.csv"], "OUT"),
    ],
)
def test_errors_have_exit_code_2(run, people, tmp_path, arguments, message):
    (tmp_path / "bad.csv").write_text("0.1,0.2\n", encoding="utf-8")
    (tmp_path / "older.csv").write_text("id\n", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    for name in ("kept", "kept.csv.parts"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe.csv")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert isinstance(result.exception, SystemExit)
    assert "0.1" not in result.output
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", [b"M\xe4rz.csv", b"M\xe4rz.parquet"])
def test_names_may_be_no_utf8(run, people, tmp_path, name):
    (tmp_path / "people.csv").rename(tmp_path / os.fsdecode(b"\xe4.csv"))
    result = run(os.fsdecode(b"\xe4.csv"), os.fsdecode(name))
    assert result.exit_code == 3
    assert f"2 rows scored in {name.decode(errors='replace')} with" in result.output
    assert (tmp_path / os.fsdecode(name)).is_file()


def test_the_command_finds_the_newest_model_and_shows_progress(store, stored_model, people, tmp_path):
    command = [sys.executable, "-c", "from drugpred.cli import main; main()", "score", "people.csv", "out.parquet"]
    environment = os.environ | {"BENTOML_HOME": str(store)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 3
    assert done.stdout.startswith(f"2 rows scored in out.parquet with {stored_model.tag}\n")
    assert "100%" in done.stderr
    assert "scoring" not in done.stdout
    assert parquet.read_metadata(tmp_path / "out.parquet").num_rows == 2


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_bounds_and_support_are_columns_on_request(run, stored_model, people, tmp_path, output):
    result = run("people.csv", output, "--drugs", "lsd,alcohol", "--include", "support", "--include", "interval")
    assert result.exit_code == 3
    if output.endswith("csv"):
        with (tmp_path / output).open(encoding="utf-8") as file:
            found = list(csv.DictReader(file))
    else:
        found = parquet.read_table(tmp_path / output).to_pylist()
    names = [f"{drug}{end}" for drug in ("lsd", "alcohol") for end in ("", "_low", "_high")]
    assert list(found[0]) == ["id", *names, "similar", "percentile", "level"]
    scored = [people[0], people[2]]
    rows = np.array([Profile(**{name: person[name] for name in INPUTS}).row() for person in scored])
    answered = stored_model.predictor.predict_proba(rows)
    low, high = stored_model.uncertainty.intervals(rows, answered)
    support = stored_model.uncertainty.support(rows)
    for i, row in enumerate(found):
        for drug in ("lsd", "alcohol"):
            of = DRUGS.index(drug)
            expected = [answered[i, of, 1], low[i, of, 1], high[i, of, 1]]
            assert [float(row[f"{drug}{end}"]) for end in ("", "_low", "_high")] == pytest.approx(expected, abs=1e-6)
        assert (int(row["similar"]), int(row["percentile"])) == (support.similar[i], support.percentile[i])
        assert row["level"] == SUPPORT_LEVELS[support.level[i]]


def test_files_become_a_data_set_that_is_replaced_on_request(run, stored_model, people, tmp_path):
    result = run("people.csv", "people.csv", "scored/", "--keep", "age", "--drugs", "lsd", "--engine", "local")
    assert result.exit_code == 3
    said = f"2 rows scored in scored/ with {stored_model.tag}\n1 rows rejected, see scored.rejected\nfaults: 1 of age\n"
    assert said in result.output
    assert parquet.read_table(tmp_path / "scored").column_names == ["id", "age", "lsd"]
    assert run("people.csv", "scored/").exit_code == 2
    assert run("people.csv", "scored/", "--overwrite").exit_code == 3
    assert parquet.read_table(tmp_path / "scored").column_names == ["id", *DRUGS]


def test_a_dry_run_counts_and_writes_nothing(run, people, tmp_path):
    result = run("people.csv", "scored/", "--dry-run")
    assert (result.exit_code, result.output) == (0, "1 files with 1 parts and 3 rows can be scored\n")
    assert [path.name for path in tmp_path.iterdir()] == ["people.csv"]
    (tmp_path / "out.csv").write_text("id\n", encoding="utf-8")
    assert run("people.csv", "out.csv", "--dry-run").exit_code == 2
    assert run("people.csv", "out.csv", "--dry-run", "--overwrite").exit_code == 0
    assert run("people.csv", "scored/", "--dry-run", "--keep", "site").exit_code == 2


def test_the_fixed_time_is_shown_apart_from_the_rate(run, people):
    assert re.search(
        r"\d\.\d s to start, \d\.\d s to score \(\d+ rows/s\), \d\.\d s to end\n", run("people.csv", "out.csv").output
    )
