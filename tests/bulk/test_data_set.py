"""Whole runs from several files to a data set, a folder of parts."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import dataset, parquet

from drugpred import __version__
from drugpred.bulk.job import Job
from drugpred.codebook import DRUGS
from drugpred.errors import ConfigurationError, DataError
from tests.bulk.conftest import contents

PARTS = 11


@pytest.fixture
def folder(people, table, write, small_parts, tmp_path):
    """Write 5000 people, of whom 8 are invalid, as files of both formats in a folder, next to other files."""
    rows = people.copy()
    rows[::700, 6] = 99
    (tmp_path / "in" / "deep" / "_old").mkdir(parents=True)
    write("in/a.parquet", table(rows[:2000]), row_group_size=500)
    write("in/b.csv", table(rows[2000:3000]))
    write("in/deep/c.parquet", table(rows[3000:]), row_group_size=600)
    for name in ("_manifest.json", ".hidden.csv", "deep/_old/d.csv", "notes.txt"):
        (tmp_path / "in" / name).write_text("other\n", encoding="utf-8")
    return tmp_path / "in"


def read(output):
    return dataset.dataset(output).to_table().to_pandas()


def test_a_folder_becomes_a_folder(folder, run, people, model, tmp_path):
    assert run(folder, f"{tmp_path}/out/") == (4992, 8)
    scored = read(tmp_path / "out")
    assert list(scored) == ["file", "line", *DRUGS]
    counts = scored.groupby("file").size().to_dict()
    assert counts == {f"{folder}/a.parquet": 1997, f"{folder}/b.csv": 998, f"{folder}/deep/c.parquet": 1997}
    good = np.arange(len(people)) % 700 != 0
    expected = model.predictor.predict_proba(people[good])[:, :, 1]
    assert np.abs(scored[list(DRUGS)].to_numpy() - expected).max() < 1e-6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "out.manifest.json", "out.rejected"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"part-{i:05}.parquet" for i in range(PARTS)}
    faults = pd.concat(map(pd.read_csv, sorted((tmp_path / "out.rejected").iterdir())))
    assert list(faults) == ["file", "line", "column", "expected"]
    b = faults[faults.file == f"{folder}/b.csv"]
    assert list(zip(b.line, b.column, strict=True)) == [(102, "extraversion"), (802, "extraversion")]


def test_other_programs_read_the_folder_as_it_is(folder, run, tmp_path):
    run(folder, f"{tmp_path}/out/")
    scored = read(tmp_path / "out")
    assert pd.read_parquet(tmp_path / "out").equals(scored)
    assert np.array_equal(pl.read_parquet(tmp_path / "out")["lsd"], scored["lsd"])


def test_the_manifest_describes_the_data_set(folder, run, tmp_path):
    run(folder, f"{tmp_path}/out/", drugs=("lsd",), window="year", include=("interval",))
    manifest = json.loads((tmp_path / "out.manifest.json").read_text(encoding="utf-8"))
    assert manifest["model"] == "drug_consumption:test"
    assert manifest["options"] == {
        "drugs": ["lsd"],
        "window": "year",
        "scale": "standardized",
        "include": ["interval"],
        "keep": [],
        "exact": False,
    }
    assert manifest["versions"] == {"drugpred": __version__, "numpy": np.__version__, "pyarrow": pa.__version__}
    assert (manifest["scored"], manifest["rejected"], manifest["faults"]) == (4992, 8, {"extraversion": 8})
    assert manifest["columns"] == ["file", "line", "lsd", "lsd_low", "lsd_high"]
    parts = manifest["parts"]
    assert [part["path"] for part in parts] == [f"out/part-{i:05}.parquet" for i in range(PARTS)]
    assert parts[4]["input"] == f"{folder}/b.csv"
    for part in parts:
        path = tmp_path / part["path"]
        assert (path.stat().st_size, parquet.read_metadata(path).num_rows) == (part["bytes"], part["scored"])
    assert sum(part["rejected"] for part in parts) == 8


@pytest.mark.parametrize("pattern", ["in/*.parquet", "in/**/c.*", "in/b.csv"])
def test_patterns_and_several_inputs(folder, run, tmp_path, monkeypatch, pattern):
    monkeypatch.chdir(tmp_path)
    files = sorted(str(path) for path in tmp_path.glob(pattern))
    assert run([pattern, "in/b.csv"], "out.csv")[0] > 0
    scored = pd.read_csv("out.csv")
    assert list(scored["file"].unique()) == list(dict.fromkeys([*files, f"{folder}/b.csv"]))
    faults = pd.read_csv("out.csv.rejected.csv")
    assert list(faults) == ["file", "line", "column", "expected"]


def test_two_files_have_a_file_column_and_one_has_not(folder, run, tmp_path):
    run([folder / "a.parquet", folder / "b.csv"], tmp_path / "two.parquet")
    run([folder / "a.parquet"], tmp_path / "one.parquet")
    assert parquet.read_schema(tmp_path / "two.parquet").names[:2] == ["file", "line"]
    assert parquet.read_schema(tmp_path / "one.parquet").names[:2] == ["line", "alcohol"]


@pytest.mark.parametrize("pattern", ["in/*.tsv", "empty"])
def test_an_input_without_files_is_refused(folder, run, tmp_path, pattern):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=f"expected files of rows in {tmp_path}/{pattern.replace('*', '.')}, found none"
    ):
        run(tmp_path / pattern, tmp_path / "out.csv")


def test_an_existing_folder_is_a_data_set_too(folder, run, tmp_path):
    (tmp_path / "out.csv").mkdir()
    assert run(folder / "b.csv", tmp_path / "out.csv") == (998, 2)
    assert list(read(tmp_path / "out.csv"))[:2] == ["line", "alcohol"]


def test_no_rows_become_a_part_without_rows(people, table, write, run, tmp_path):
    assert run(write("in.parquet", table(people[:0])), f"{tmp_path}/out/") == (0, 0)
    assert read(tmp_path / "out").shape == (0, 19)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out", "out.manifest.json"]


def test_files_with_other_ids_are_refused(people, table, write, run, tmp_path):
    write("a.parquet", table(people[:5], id=pa.array(range(5))))
    write("b.csv", table(people[:5], id=pa.array(range(5))))
    with pytest.raises(
        DataError, match=rf"^expected the id and the kept columns of {tmp_path}/b.csv to be as in .*a.par"
    ):
        run([tmp_path / "a.parquet", tmp_path / "b.csv"], f"{tmp_path}/out/")
    assert not (tmp_path / "out").exists()


def test_an_older_data_set_is_replaced_on_request(folder, run, tmp_path):
    run(folder, f"{tmp_path}/out/")
    for found in ("out.manifest.json", "out"):
        before = contents(tmp_path)
        with pytest.raises(
            ConfigurationError, match=f"^expected no older output, found {tmp_path}/{found}: --overwrite"
        ):
            run(folder / "b.csv", f"{tmp_path}/out/")
        assert contents(tmp_path) == before
        (tmp_path / "out.manifest.json").unlink(missing_ok=True)  # its parts are results still
    assert run(folder / "b.csv", f"{tmp_path}/out/", overwrite=True) == (998, 2)
    assert len(read(tmp_path / "out")) == 998


@pytest.mark.parametrize(
    "name", ["out/mine.parquet", "out/_mine", "out.rejected/mine", "out.parts/mine", "out.manifest.json"]
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_somebody_else_are_left(folder, run, tmp_path, name, overwrite):
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine", encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(
        ConfigurationError, match=r"^expected .*out.* to be (a folder )?from an earlier run, or missing"
    ):
        run(folder, f"{tmp_path}/out/", overwrite=overwrite)
    assert contents(tmp_path) == before


def test_an_output_in_an_input_is_refused(folder, run, tmp_path):
    for output in (f"{folder}/out/", folder / "out.csv"):
        with pytest.raises(ConfigurationError, match="expected an output outside of the input"):
            run(folder, output)
    for source, output in (("in/a.parquet", "in"), ("in/deep/c.parquet", "in/deep/../deep")):
        with pytest.raises(ConfigurationError, match="expected an output other than the input"):
            run(tmp_path / source, tmp_path / output, overwrite=True)


@pytest.fixture
def stopped(folder, run, tmp_path, monkeypatch):
    """A run that was stopped before it was finished: all parts are done."""
    with monkeypatch.context() as patched:
        patched.setattr("drugpred.bulk.run.finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(folder, f"{tmp_path}/out/")
    return tmp_path / "out"


def test_a_part_that_is_cut_off_or_missing_is_scored_again(folder, run, stopped, worked, tmp_path):
    assert not (tmp_path / "out.manifest.json").exists()
    for number, size in ((2, 100), (5, 0)):
        with (stopped / f"part-{number:05}.parquet").open("r+b") as part:
            part.truncate(size)
    (stopped / "part-00007.parquet").unlink()
    (tmp_path / "out.rejected" / "part-00000.csv").unlink()
    assert run(folder, f"{tmp_path}/out/") == (4992, 8)
    assert worked == [0, 2, 5, 7]
    run(folder, f"{tmp_path}/whole/")
    finished = contents(tmp_path)
    for name in [name for name in finished if name.startswith("whole")]:
        if not name.endswith("json"):
            assert finished[name] == finished[name.replace("whole", "out")]


def test_a_part_that_is_cut_off_meanwhile_is_noticed(folder, run, tmp_path, monkeypatch):
    work = Job.score_part

    def cut(self, number, advance=None):
        if number == PARTS - 1:
            (tmp_path / "out" / "part-00003.parquet").write_bytes(b"PAR1")
        return work(self, number, advance)

    with monkeypatch.context() as patched:
        patched.setattr(Job, "score_part", cut)
        with pytest.raises(ConfigurationError, match=r"^expected .*out/part-00003.parquet not to change"):
            run(folder, f"{tmp_path}/out/")
    assert not (tmp_path / "out.manifest.json").exists()
    assert run(folder, f"{tmp_path}/out/") == (4992, 8)


def test_parts_of_another_run_are_not_used(folder, run, stopped, worked, tmp_path):
    assert run(folder, f"{tmp_path}/out/", window="year") == (4992, 8)
    assert len(worked) == PARTS
    manifest = json.loads((tmp_path / "out.manifest.json").read_text(encoding="utf-8"))
    assert manifest["options"]["window"] == "year"


def test_another_run_that_begins_meanwhile_ends_this_one(folder, run, tmp_path, monkeypatch):
    work = Job.score_part

    def begin(self, number, advance=None):
        (tmp_path / "out.parts" / "run.json").write_text('{"drugpred score": "other"}', encoding="utf-8")
        return work(self, number, advance)

    monkeypatch.setattr(Job, "score_part", begin)
    with pytest.raises(DataError, match=f"^expected no other run to write {tmp_path}/out$"):
        run(folder, f"{tmp_path}/out/")
    assert not list((tmp_path / "out").iterdir())


def test_a_disk_that_is_full_leaves_parts_to_continue_from(folder, run, worked, room, tmp_path):
    with room(45_000), pytest.raises(OSError, match="too large"):  # less than a part of the last file
        run(folder, f"{tmp_path}/out/")
    done = len(list((tmp_path / "out").iterdir()))
    assert 0 < done < PARTS
    worked.clear()
    assert run(folder, f"{tmp_path}/out/") == (4992, 8)
    assert worked == list(range(done, PARTS))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"part-{i:05}.parquet" for i in range(PARTS)}


@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
@pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out/"])
def test_columns_are_kept(people, table, write, run, tmp_path, name, output):
    sites = pa.array(["north", None, "south"]).dictionary_encode()
    columns = {"site": sites, "3": pa.array([7, 8, 9]), "Cannabis": pa.array(["CL0", "CL1", "CL2"])}
    path = write(name, table(people[:3], **columns))
    keep = ("site", "3", "Cannabis", "gender", "age")
    if name == "in.parquet":
        keep += ("openness",)
    assert run(path, f"{tmp_path}/{output}", drugs=("lsd",), keep=keep) == (3, 0)
    if output == "out.csv":
        found = pd.read_csv(tmp_path / output)
    else:
        found = pd.read_parquet(tmp_path / output)
        assert found["3"].dtype == (np.int64 if name == "in.parquet" else object) or name == "in.csv"
    assert list(found) == ["line", *keep, "lsd"]
    assert [site if isinstance(site, str) else None for site in found["site"]] == ["north", None, "south"]
    assert list(found["3"].astype(int)) == [7, 8, 9]
    assert list(found["gender"]) == table(people[:3])["gender"].to_pylist()
    if "openness" in keep:
        assert np.allclose(found["openness"], people[:3, 7])


def test_kept_columns_of_rejected_rows_are_left_out(people, table, write, run, tmp_path, line):
    lines = [f"{line()[:-1]},{i}\n" for i in range(3)]
    lines[1] = f"{line(age='3')[:-1]},x\n"
    (tmp_path / "in.csv").write_text(line.header[:-1] + ",site\n" + "".join(lines), encoding="utf-8")
    assert run(tmp_path / "in.csv", tmp_path / "out.csv", keep=("site",)) == (2, 1)
    assert list(pd.read_csv(tmp_path / "out.csv")["site"]) == [0, 2]


def test_kept_columns_that_cannot_be_written_are_refused(people, table, write, run, tmp_path):
    path = write("in.parquet", table(people[:3], more=pa.array([[1], [2], [3]]), lsd=pa.array([1, 2, 3])))
    with pytest.raises(DataError, match="column more: expected one value in each row"):
        run(path, tmp_path / "out.csv", keep=("more", "lsd"))
    path = write("in.parquet", table(people[:3], lsd=pa.array([1, 2, 3])))
    with pytest.raises(ConfigurationError, match="expected to keep other columns than those of the output: lsd"):
        run(path, tmp_path / "out.csv", keep=("lsd",))
