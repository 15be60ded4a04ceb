"""Respondents: both formats, real and simulated ones, and writing to a file."""

import csv
import gzip
import hashlib
import io
import os

import numpy as np
import pandas as pd
import pytest

from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES
from drugpred.data.respondents import Respondents, read, write_csv
from drugpred.errors import DataError


@pytest.fixture(scope="module")
def uci(uci_path):
    return read(uci_path)


@pytest.fixture(scope="module")
def decoded(decoded_path):
    return read(decoded_path)


@pytest.fixture
def cohort():
    """Rows that no file has: every level and every score, drawn at random."""
    rng = np.random.default_rng(0)
    columns = {category.name: rng.integers(0, len(category.labels), 500).astype(float) for category in CATEGORIES}
    columns |= {score.name: rng.choice(score.values, 500) for score in SCORES}
    columns |= {name: rng.integers(0, 7, 500).astype(np.int8) for name in (*DRUGS, "semeron")}
    return pd.DataFrame(columns, index=pd.Index([f"sim-{n}" for n in range(1, 501)], name="id"))


def written(path, frame):
    with path.open("w", newline="", encoding="utf-8") as file:
        write_csv(frame, file, header=True)
    return path


def test_uci_form(uci, uci_path):
    assert len(uci) == 1885
    assert uci.source == "uci"
    assert uci.sha256 == hashlib.sha256(uci_path.read_bytes()).hexdigest()
    assert set(range(1, 1889)) - set(uci.frame.index) == {294, 299, 742}


def test_decoded_form(decoded):
    assert len(decoded) == 1884
    assert decoded.source == "uci"


def test_both_forms_give_the_same_rows(uci, decoded):
    pd.testing.assert_frame_equal(uci.frame.drop(index=1), decoded.frame)


def test_frame(uci):
    assert list(uci.frame.columns) == [*INPUTS, *DRUGS, "semeron"]
    assert uci.frame.index.name == "id"
    assert uci.frame.index.dtype == np.int64
    assert set(uci.frame[list(INPUTS)].dtypes) == {np.dtype(np.float64)}
    assert set(uci.frame[[*DRUGS, "semeron"]].dtypes) == {np.dtype(np.int8)}


def test_a_known_respondent(uci):
    row = uci.frame.loc[2]
    assert row[list(INPUTS)].tolist() == [
        *(1, 1, 8, 5, 6),
        *(-0.67825, 1.93886, 1.43533, 0.76096, -0.14277, -0.71126, -0.21575),
    ]
    assert row[[*DRUGS, "semeron"]].tolist() == [5, 2, 2, 0, 6, 4, 6, 3, 0, 4, 0, 2, 0, 2, 3, 0, 4, 0, 0]


def test_arrays(uci):
    assert uci.X.shape == (1885, 12)
    assert uci.X.dtype == np.float64
    assert uci.X.flags.c_contiguous
    assert uci.X.flags.writeable
    assert uci.last_use.shape == (1885, 18)
    assert uci.last_use.dtype == np.int8
    assert np.array_equal(uci.X, uci.frame[list(INPUTS)])
    assert np.array_equal(uci.last_use, uci.frame[list(DRUGS)])


def test_over_claimers(uci):
    honest = uci.without_overclaimers()
    claimed = uci.frame.index.difference(honest.frame.index).tolist()
    assert claimed == [730, 821, 1520, 1537, 1702, 1773, 1810, 1827]
    assert uci.frame.loc[claimed, "semeron"].tolist() == [2, 3, 3, 4, 2, 1, 1, 2]
    assert len(honest) == 1877
    assert len(uci) == 1885
    assert (honest.source, honest.sha256) == (uci.source, uci.sha256)


def test_a_copy_without_over_claimers_is_a_copy(cohort):
    cohort["semeron"] = np.int8(0)
    original = Respondents(cohort, "simulated", "")
    copy = original.without_overclaimers().frame
    copy.loc["sim-1", "age"] = 9
    assert original.frame.loc["sim-1", "age"] != 9


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.rstrip(b"\n"),
    ],
    ids=["CRLF", "BOM", "no last line end"],
)
@pytest.mark.parametrize("form", ["uci_path", "decoded_path"])
def test_the_real_data_are_known_by_their_records(tmp_path, request, form, edit):
    original = request.getfixturevalue(form)
    path = tmp_path / "data.csv"
    path.write_bytes(edit(original.read_bytes()))
    assert read(path).source == "uci"
    pd.testing.assert_frame_equal(read(path).frame, read(original).frame)


@pytest.mark.parametrize(
    "edit",
    [lambda text: text.replace("CL6", "CL5", 1), lambda text: text[: text.rindex("\n", 0, -1)]],
    ids=["changed", "shorter"],
)
def test_changed_data_are_not_the_real_ones(tmp_path, uci_path, edit):
    path = tmp_path / "data.csv"
    path.write_text(edit(uci_path.read_text()))
    assert read(path).source == "file"


def test_simulated_ids_make_a_file_simulated(tmp_path, uci, cohort):
    simulated = read(written(tmp_path / "simulated.csv", cohort))
    assert simulated.source == "simulated"
    mixed = read(written(tmp_path / "mixed.csv", pd.concat([uci.frame.astype(cohort.dtypes), cohort.head(1)])))
    assert mixed.source == "simulated"
    assert mixed.frame.index[[0, -1]].tolist() == ["1", "sim-1"]


def test_simulated_ids_in_the_uci_form(tmp_path, uci_path):
    path = tmp_path / "data"
    path.write_text("".join(f"sim-{line}" for line in uci_path.read_text().splitlines(keepends=True)[:3]))
    assert read(path).source == "simulated"
    assert read(path).frame.index.tolist() == ["sim-1", "sim-2", "sim-3"]


def test_a_written_file_is_read_back(tmp_path, cohort):
    pd.testing.assert_frame_equal(read(written(tmp_path / "cohort.csv", cohort)).frame, cohort)


def test_real_data_survive_the_round_trip(tmp_path, uci):
    again = read(written(tmp_path / "real.csv", uci.frame))
    pd.testing.assert_frame_equal(again.frame, uci.frame)
    assert again.source == "uci"


def test_headings_and_spellings_are_the_published_ones(decoded, decoded_path):
    file = io.StringIO()
    write_csv(decoded.frame, file, header=True)
    ours, published = (list(csv.reader(text.splitlines())) for text in (file.getvalue(), decoded_path.read_text()))
    assert ours[0] == published[0]
    # Scores alone may differ, and in their trailing zeros alone.
    assert [row[:6] + [f"{float(score):.5f}" for score in row[6:13]] + row[13:] for row in published[1:]] == ours[1:]


def test_chunks_make_one_file(tmp_path, cohort):
    path = tmp_path / "cohort.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        for start in range(0, 500, 200):
            write_csv(cohort.iloc[start : start + 200], file, header=start == 0)
    pd.testing.assert_frame_equal(read(path).frame, cohort)


@pytest.mark.parametrize("form", ["uci_path", "decoded_path"])
@pytest.mark.parametrize("spell", ["single", 2, 3, 4])
def test_the_real_data_survive_single_precision_and_rounding(tmp_path, request, form, spell):
    original = request.getfixturevalue(form)
    table = pd.read_csv(original, header=None if form == "uci_path" else 0)
    numbers = table.select_dtypes("float").columns
    assert len(numbers) == (12 if form == "uci_path" else 7)
    changed = table[numbers].astype(np.float32).astype(np.float64) if spell == "single" else table[numbers].round(spell)
    path = tmp_path / "data.csv"
    table.drop(columns=numbers).join(changed)[table.columns].to_csv(path, index=False, header=form != "uci_path")
    assert read(path).source == "uci"
    pd.testing.assert_frame_equal(read(path).frame, read(original).frame)


def test_one_decimal_gives_nearly_all_of_the_real_scores_back(tmp_path, uci):
    table = uci.frame.round(dict.fromkeys((score.name for score in SCORES), 1))
    path = tmp_path / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        write_csv(table, file, header=True)
    path.write_text(path.read_text().replace("0000,", ","))
    found = read(path).X
    assert (found != uci.X).any(axis=1).sum() == 76
    assert np.abs(found - uci.X).max() < 0.1


def test_a_compressed_file_is_read(tmp_path, uci_path):
    path = tmp_path / "data.gz"
    path.write_bytes(gzip.compress(uci_path.read_bytes()))
    assert read(path).source == "uci"
    assert read(path).sha256 == hashlib.sha256(uci_path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="expected a complete gzip file"):
        read(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "data")
    with pytest.raises(DataError, match="expected a regular file, found a pipe"):
        read(tmp_path / "data")


def test_reading_leaves_the_disk_alone(tmp_path, cohort, monkeypatch):
    path = written(tmp_path / "cohort.csv", cohort)
    monkeypatch.chdir(tmp_path)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    read(path)
    assert list(tmp_path.iterdir()) == [path]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
