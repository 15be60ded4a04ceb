"""Whole runs: outputs, rejected rows, and the files that a kill leaves."""

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock
from pyarrow import parquet

from drugpred.bulk.job import Job
from drugpred.codebook import DECADE, DRUGS, INPUTS, SCORES, WINDOWS
from drugpred.data.respondents import simulated_frame, write_csv
from drugpred.data.simulator import Cohort
from drugpred.errors import ConfigurationError, DataError
from drugpred.schemas import Profile
from tests.bulk.conftest import files, rejected_path


def expected(rows, window=DECADE):
    return Cohort.load().predictor.predict_proba(rows)[:, :, window]


@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
@pytest.mark.parametrize("output", ["out.csv", "out.parquet", "OUT.CSV", "out.PARQUET"])
def test_every_row_gets_the_predictors_probabilities(people, table, write, run, found, tmp_path, source, output):
    counts = run(write(source, table(people)), tmp_path / output)
    assert counts == (5000, 0)
    (tmp_path / output).rename(tmp_path / output.lower())
    names, lines, probabilities = found(tmp_path / output.lower())
    assert names == ("line", list(DRUGS))
    first = 2 if source == "in.csv" else 1
    assert [int(line) for line in lines] == list(range(first, first + 5000))
    assert np.abs(probabilities - expected(people)).max() < 1e-6
    assert {path.name for path in tmp_path.iterdir()} == {source, output.lower()}


def test_the_output_of_simulate_can_be_scored(people, run, found, tmp_path):
    with (tmp_path / "in.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(simulated_frame(people, np.zeros((len(people), 18), np.int8)), file, header=True)
    assert run(tmp_path / "in.csv", tmp_path / "out.parquet") == (5000, 0)
    (key, _), ids, probabilities = found(tmp_path / "out.parquet")
    assert key == "id"
    assert ids == [f"sim-{i}" for i in range(1, 5001)]
    assert np.abs(probabilities - expected(people)).max() < 1e-6


def test_drugs_and_window_are_chosen_and_recorded(people, table, write, run, found, tmp_path):
    run(write("in.parquet", table(people)), tmp_path / "out.parquet", drugs=("lsd", "cannabis"), window="year")
    (_, drugs), _, probabilities = found(tmp_path / "out.parquet")
    assert drugs == ["lsd", "cannabis"]
    places = [DRUGS.index(drug) for drug in drugs]
    assert np.abs(probabilities - expected(people, WINDOWS.index("year"))[:, places]).max() < 1e-6
    metadata = parquet.read_schema(tmp_path / "out.parquet").metadata
    assert metadata[b"drugpred.model"] == b"drug_consumption:test"
    assert metadata[b"drugpred.window"] == b"year"


@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
def test_raw_totals_are_those_of_a_profile(people, table, write, run, found, rejected, tmp_path, source):
    neo = [score.name for score in SCORES if score.is_neo]
    totals = {name: pa.array([12, 36, 60, 61, 37]) for name in neo}
    totals["age"] = pa.array([25, 99, 18, 25, 17])
    made = table(people[:5])
    for name, column in totals.items():
        made = made.set_column(made.column_names.index(name), name, column)
    output = tmp_path / "out.parquet"
    assert run(write(source, made), output, scale="raw") == (3, 2)
    rows = np.array([Profile(**person, scale="raw").row() for person in made.to_pylist()[:3]])
    assert np.abs(found(output)[2] - expected(rows)).max() < 1e-6
    bad = rejected(output)
    first = 2 if source == "in.csv" else 1
    assert [(line - first, column) for line, column, _ in bad] == [*((3, name) for name in neo), (4, "age")]
    assert bad[0][2] == "a whole number from 12 to 60"


KINDS = [pa.int32(), pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_an_id_is_carried_over(people, table, write, run, found, tmp_path, kind, output):
    ids = (
        pa.array([7, 7, None, 9]).cast(pa.string()).cast(kind)
        if kind != pa.int32()
        else pa.array([7, 7, None, 9], kind)
    )
    run(write("in.parquet", table(people[:4], Id=ids)), tmp_path / output)
    (key, _), carried, _ = found(tmp_path / output)
    assert key == "id"
    assert [str(one or "") for one in carried] == ["7", "7", "", "9"]


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_a_uuid_is_carried_over_as_text(people, table, write, run, found, tmp_path, output):
    ids = [UUID(int=7), None, UUID(int=2**128 - 1)]
    run(write("in.parquet", table(people[:3], id=pa.array(ids, pa.uuid()))), tmp_path / output)
    (key, _), carried, _ = found(tmp_path / output)
    assert key == "id"
    assert [one or None for one in carried] == [None if one is None else str(one) for one in ids]


@pytest.mark.parametrize("name", ["drug_consumption.data", "people.csv", "people.csv.gz", "people.tsv"])
def test_the_uci_form_is_scored_as_it_is(run, found, uci_path, real, tmp_path, name):
    content = uci_path.read_bytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert run(path, tmp_path / "out.csv") == (1885, 0)
    (key, _), ids, probabilities = found(tmp_path / "out.csv")
    assert key == "id"
    assert ids == [str(number) for number in real.frame.index]
    assert np.abs(probabilities - expected(real.X)).max() < 1e-6


@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
@pytest.mark.parametrize("kind", ["float32", "single", 1, 2, 3, 4])
def test_nobody_is_rejected_for_rounding(real, table, write, run, found, tmp_path, source, kind):
    rows = real.X.copy()
    if isinstance(kind, int):
        rows[:, 5:] = rows[:, 5:].round(kind)
    else:
        rows[:, 5:] = rows[:, 5:].astype(np.float32)
    made = table(rows)
    if kind == "float32":
        made = made.cast(pa.schema([(f.name, pa.float32() if f.name in INPUTS[5:] else f.type) for f in made.schema]))
    assert run(write(source, made), tmp_path / "out.csv") == (1885, 0)
    difference = np.abs(found(tmp_path / "out.csv")[2] - expected(real.X))
    assert difference.max() < (0.05 if kind == 1 else 1e-6)


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_invalid_rows_are_reported_and_the_others_scored(run, found, rejected, tmp_path, line, output):
    lines = [
        line(),
        line(age="17"),
        "1,2\n",
        line(gender="SECRET", openness="SECRET"),
        line(age="zebra"),
        line(ethnicity=""),
    ]
    (tmp_path / "in.csv").write_text(line.header + "".join(lines) + line(), encoding="utf-8")
    assert run(tmp_path / "in.csv", tmp_path / output) == (2, 5)
    assert [int(n) for n in found(tmp_path / output)[1]] == [2, 8]
    told = rejected(tmp_path / output)
    assert [row[:2] for row in told] == [
        (3, "age"),
        (4, ""),
        (5, "gender"),
        (5, "openness"),
        (6, "age"),
        (7, "ethnicity"),
    ]
    assert told[1][2] == "12 fields"
    assert told[2][2] == "one of Female | Male | F | M"
    assert "SECRET" not in str(told)


@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
def test_many_bad_rows_are_all_reported(people, table, write, run, found, rejected, tmp_path, source):
    rng = np.random.default_rng(0)
    rows = people.copy()
    bad = rng.random(rows[:, 5:].shape) < 0.2
    rows[:, 5:][bad] = rng.choice([np.nan, 99.0, np.inf, -7.5], bad.sum())
    output = tmp_path / "out.parquet"
    good = ~bad.any(1)
    assert run(write(source, table(rows)), output) == (good.sum(), (~good).sum())
    first = 2 if source == "in.csv" else 1
    _, lines, probabilities = found(output)
    assert np.array_equal(np.array(lines) - first, np.flatnonzero(good))
    assert np.abs(probabilities - expected(people[good])).max() < 1e-6
    places = [(line - first, INPUTS.index(column) - 5) for line, column, _ in rejected(output)]
    assert places == list(zip(*np.nonzero(bad), strict=True))


@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_a_file_without_rows_has_an_output_without_rows(people, table, write, run, found, tmp_path, source, output):
    assert run(write(source, table(people[:0])), tmp_path / output) == (0, 0)
    names, lines, _ = found(tmp_path / output)
    assert names == ("line", list(DRUGS))
    assert lines == []


def test_an_older_output_and_its_rejected_rows_are_replaced_on_request(
    people, table, write, run, found, rejected, tmp_path
):
    output = tmp_path / "out.csv"
    rows = people[:3].copy()
    rows[1, 6] = 99
    assert run(write("in.parquet", table(rows)), output) == (2, 1)
    assert len(rejected(output)) == 1
    for older in (output, rejected_path(output)):
        content = older.read_bytes()
        with pytest.raises(ConfigurationError, match=f"^expected no older output, found {older}: --overwrite replaces"):
            run(write("in.parquet", table(people[:3])), output)
        assert older.read_bytes() == content
        output.unlink(missing_ok=True)
    output.touch()
    assert run(write("in.parquet", table(people[:3])), output, overwrite=True) == (3, 0)
    assert rejected(output) == []
    assert len(found(output)[1]) == 3


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("in.txt", "out.csv", r"expected a name that ends in .csv, .tsv, .data .* or .parquet, found in.txt"),
        ("in.parquet.gz", "out.csv", r"expected a name that ends in .csv, .* found in.parquet.gz"),
        ("in.csv", "out", r"expected an output whose name ends in .csv or .parquet, .* for a folder, found out$"),
        ("in.csv", "-", r"expected an output whose name ends in .csv or .parquet, .* found -"),
        ("in.csv", "out.csv.gz", r"expected an output whose name ends in .csv or .parquet, .* found out.csv.gz"),
        ("in.csv", "in.csv", "expected an output other than"),
    ],
)
def test_names_without_a_known_format_are_refused(run, tmp_path, line, source, output, message):
    (tmp_path / source).write_text(line.header, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        run(tmp_path / source, tmp_path / output)
    assert [path.name for path in tmp_path.iterdir()] == [source]


@pytest.fixture
def links(people, table, write, tmp_path):
    """Other names of an input, by how they come about."""
    path = write("in.csv", table(people[:10]))
    (tmp_path / "sub").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "link.csv").symlink_to("in.csv")
    (tmp_path / "hard.csv").hardlink_to(path)
    (tmp_path / "out.csv.rejected.csv").symlink_to("in.csv")
    return path


@pytest.mark.parametrize("name", ["in.csv", "sub/../in.csv", "folder/in.csv", "link.csv", "hard.csv", "out.csv"])
def test_an_input_under_another_name_is_no_output(links, run, tmp_path, name):
    content, names = links.read_bytes(), sorted(tmp_path.iterdir())
    for source, output in ((links, tmp_path / name), (tmp_path / name, links)):
        if source.name != "out.csv":
            with pytest.raises(ConfigurationError, match="expected an output other than the input"):
                run(source, output)
    assert links.read_bytes() == content
    assert sorted(tmp_path.iterdir()) == names


def test_an_input_among_the_parts_of_an_output_is_left(people, table, write, run, tmp_path):
    (tmp_path / "out.csv.parts").mkdir()
    path = write("out.csv.parts/000000.csv", table(people[:10]))
    (tmp_path / "in.csv").symlink_to(path)
    for source in (path, tmp_path / "in.csv"):
        with pytest.raises(ConfigurationError, match="expected an output other than"):
            run(source, tmp_path / "out.csv")
    assert path.exists()


@pytest.mark.parametrize("name", ["mine.txt", "000000.csv", "run.json", "joined.csv", "deep/000000.csv", "lock/mine"])
@pytest.mark.parametrize("rows", [10, 0])
def test_a_folder_of_somebody_else_is_left(people, table, write, run, tmp_path, name, rows):
    mine = tmp_path / "out.csv.parts" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("[mine]", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"expected .*out.csv.parts to be a folder from an earlier run"):
        run(write("in.parquet", table(people[:rows])), tmp_path / "out.csv")
    assert mine.read_text(encoding="utf-8") == "[mine]"
    assert not (tmp_path / "out.csv").exists()


def test_a_link_or_a_file_in_place_of_the_folder_is_left(people, table, write, run, tmp_path):
    path, parts = write("in.parquet", table(people[:10])), tmp_path / "out.csv.parts"
    (tmp_path / "other").mkdir()
    parts.symlink_to("other")
    with pytest.raises(ConfigurationError, match=r"expected .*out.csv.parts to be a folder from an earlier run"):
        run(path, tmp_path / "out.csv")
    parts.unlink()
    parts.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"expected .*out.csv.parts to be a folder from an earlier run"):
        run(path, tmp_path / "out.csv")
    assert parts.read_text(encoding="utf-8") == "mine"


def test_a_file_added_to_the_folder_meanwhile_is_left(people, table, write, run, tmp_path, monkeypatch):
    mine, work = tmp_path / "out.csv.parts" / "mine.txt", Job.score_part

    def put(self, number, advance=None):
        mine.write_text("mine", encoding="utf-8")
        return work(self, number, advance)

    monkeypatch.setattr(Job, "score_part", put)
    assert run(write("in.parquet", table(people[:10])), tmp_path / "out.csv") == (10, 0)
    assert mine.read_text(encoding="utf-8") == "mine"
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("rows", [10, 0])
def test_a_file_of_somebody_else_in_place_of_the_rejected_rows_is_left(people, table, write, run, tmp_path, rows):
    mine = tmp_path / "out.csv.rejected.csv"
    mine.write_text("line,notes\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"expected .*out.csv.rejected.csv to be from an earlier run"):
        run(write("in.parquet", table(people[:rows])), tmp_path / "out.csv")
    assert mine.read_text(encoding="utf-8") == "line,notes\n"
    assert not (tmp_path / "out.csv").exists()


def test_a_folder_in_place_of_a_file_is_refused(people, table, write, run, tmp_path):
    (tmp_path / "out.csv.rejected.csv").mkdir()
    with pytest.raises(ConfigurationError, match=r"expected .*out.csv.rejected.csv to be a regular file"):
        run(write("in.parquet", table(people[:10])), tmp_path / "out.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.csv.rejected.csv"]


def test_a_pipe_in_place_of_the_output_is_refused(people, table, write, run, tmp_path):
    os.mkfifo(tmp_path / "out.csv")
    with pytest.raises(ConfigurationError, match=r"expected .*out.csv to be a regular file"):
        run(write("in.parquet", table(people[:10])), tmp_path / "out.csv")


@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
@pytest.mark.parametrize("output", [b"M\xe4rz.csv", b"M\xe4rz.parquet"])
def test_names_may_be_no_utf8(people, table, write, run, found, tmp_path, source, output):
    path, target = (Path(os.fsdecode(bytes(tmp_path) + b"/\xe4" + name)) for name in (source.encode(), output))
    write(source, table(people[:10])).rename(path)
    assert run(path, target) == (10, 0)
    target.rename(tmp_path / f"out{target.suffix}")
    assert np.abs(found(tmp_path / f"out{target.suffix}")[2] - expected(people[:10])).max() < 1e-6
    with pytest.raises(ConfigurationError) as caught:
        run(path, Path(os.fsdecode(bytes(tmp_path) + b"/M\xe4rz")))
    assert "M\ufffdrz" in str(caught.value)


def test_other_columns_are_refused_before_anything_is_written(run, tmp_path, line):
    (tmp_path / "in.csv").write_text("e-mail," + line.header, encoding="utf-8")
    with pytest.raises(DataError, match="e-mail"):
        run(tmp_path / "in.csv", tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_two_runs_do_not_write_the_same_output(people, table, write, run, tmp_path):
    (tmp_path / "out.csv.parts").mkdir()
    with FileLock(tmp_path / "out.csv.parts" / "lock"), pytest.raises(ConfigurationError, match="no other run"):
        run(write("in.parquet", table(people)), tmp_path / "out.csv")


def test_a_file_that_changes_meanwhile_is_refused(people, table, write, run, tmp_path, monkeypatch):
    path, work = write("in.csv", table(people)), Job.score_part

    def change(self, number, advance=None):
        path.write_bytes(path.read_bytes()[:-1])
        return work(self, number, advance)

    monkeypatch.setattr(Job, "score_part", change)
    with pytest.raises(DataError, match="not to change"):
        run(path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


PROCESS = """
import pathlib, sys, time
from types import SimpleNamespace
from rich.console import Console
from drugpred.bulk import csv_source, parquet_source, run
from drugpred.bulk.job import Job
from drugpred.codebook import DRUGS
from drugpred.data.simulator import Cohort

parquet_source._PART_ROWS, csv_source._PART_BYTES = 500, 50_000
{prepare}
model = SimpleNamespace(tag="drug_consumption:test", predictor=Cohort.load().predictor)
options = run.Options(DRUGS, "decade", "standardized")
run.score(run.plan(*map(pathlib.Path, sys.argv[1:]), model, options), Console(stderr=True))
"""

SLOWLY = """
work = Job.score_part
Job.score_part = lambda *arguments: (work(*arguments), time.sleep(.2))[0]
"""

KILLED_AT_A_RENAME = """
import itertools, os, signal
count, rename = itertools.count(1), pathlib.Path.replace
def replace(*arguments):
    n = next(count)
    if n == {before}:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(*arguments)
pathlib.Path.replace = replace
"""


def start(prepare, *paths):
    return subprocess.Popen([sys.executable, "-c", PROCESS.format(prepare=prepare), *map(str, paths)])


@pytest.mark.parametrize(("source", "output"), [("in.parquet", "out.parquet"), ("in.csv", "out.csv")])
def test_a_killed_run_continues_where_it_stopped(many_parts, run, worked, tmp_path, source, output):
    path = many_parts(source)
    (tmp_path / "whole").mkdir()
    counts = run(path, tmp_path / "whole" / output)
    n_parts = len(worked)
    assert n_parts >= 8
    killed, folder = start(SLOWLY, path, tmp_path / output), tmp_path / f"{output}.parts"
    try:
        while len(list(folder.glob("000*.json"))) < 3:
            assert killed.poll() is None
            time.sleep(0.01)
    finally:
        killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / output).exists()
    done = len(list(folder.glob("000*.json")))
    worked.clear()
    assert run(path, tmp_path / output) == counts
    assert worked == list(range(done, n_parts))
    assert files(tmp_path / output) == files(tmp_path / "whole" / output)
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("before", [1, 2, 3, 4, 5, 31, 32, 33])
def test_a_run_killed_at_any_rename_continues(many_parts, run, tmp_path, before):
    path = many_parts("in.parquet")
    (tmp_path / "whole").mkdir()
    run(path, tmp_path / "whole" / "out.csv")
    killed = start(KILLED_AT_A_RENAME.format(before=before), path, tmp_path / "out.csv")
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert not (tmp_path / "out.csv").exists()
    run(path, tmp_path / "out.csv")
    assert files(tmp_path / "out.csv") == files(tmp_path / "whole" / "out.csv")


@pytest.mark.parametrize(
    "change",
    [
        {"window": "year"},
        {"drugs": ("lsd",)},
        {"scale": "raw"},
        {"rows": slice(1, None)},
    ],
)
def test_parts_of_another_run_are_thrown_away(
    people, table, write, run, found, small_parts, worked, tmp_path, monkeypatch, change
):
    output, change = tmp_path / "out.parquet", dict(change)
    with monkeypatch.context() as patched:
        patched.setattr("drugpred.bulk.sink.Sink.join", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(write("in.parquet", table(people), row_group_size=500), output)
    assert len(worked) == 10
    rows = people[change.pop("rows", slice(None))]
    write("in.parquet", table(rows), row_group_size=500)
    run(tmp_path / "in.parquet", output, **change)
    assert sorted(worked[10:]) == list(range(10))
    assert not (tmp_path / "out.parquet.parts").exists()


# Of the process alone: ru_maxrss begins with that of the one that started it.
PEAK = """
import atexit, re
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: print(re.search("VmHWM: *([0-9]+)", status.read_text().replace(chr(9), ""))[1]))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(people, table, write, tmp_path):
    peaks = []
    rows = np.tile(people, (20, 1))
    for repeats in (5, 25):  # 500,000 rows fill all buffers
        path = tmp_path / f"{repeats}.parquet"
        with parquet.ParquetWriter(path, table(rows).schema) as writer:
            writer.write_table(pa.concat_tables([table(rows)] * repeats), row_group_size=1 << 20)
        script = PROCESS.format(prepare=PEAK).replace("= 500,", "= 500_000,")
        command = [sys.executable, "-c", script, str(path), str(tmp_path / f"{repeats}.out.parquet")]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)
        peaks.append(int(done.stdout))
        assert parquet.read_metadata(tmp_path / f"{repeats}.out.parquet").num_rows == repeats * len(rows)
    assert peaks[1] < 1.2 * peaks[0]
