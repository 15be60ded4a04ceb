"""The `drugpred` command."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

from drugpred import __version__
from drugpred.cli import main
from drugpred.codebook import DRUGS
from drugpred.data.forms import HEADINGS
from drugpred.data.respondents import read, simulate


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_it_draws_as_many_respondents_as_asked_for(run, tmp_path):
    result = run("simulate", "--rows", 1234)
    assert result.exit_code == 0
    assert "1234 simulated respondents in simulated.csv" in result.output
    respondents = read(tmp_path / "simulated.csv")
    assert respondents.source == "simulated"
    assert respondents.frame.index.tolist() == [f"sim-{n}" for n in range(1, 1235)]
    assert (respondents.frame["semeron"] == 0).all()


def test_the_file_is_a_decoded_csv_and_nothing_else(run, tmp_path):
    run("simulate", "--rows", 50, "--output", "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    content = (tmp_path / "out.csv").read_bytes()
    assert b"\r" not in content
    assert content.endswith(b"\n")
    rows = list(csv.reader(content.decode().splitlines()))
    assert rows[0] == list(HEADINGS.values())
    assert {len(row) for row in rows} == {32}
    assert len(rows) == 51


def test_the_seed_decides_the_respondents(run, tmp_path):
    for name, seed in (("one", 7), ("same", 7), ("other", 8), ("default", None)):
        run("simulate", "--rows", 20, "--output", f"{name}.csv", *(() if seed is None else ("--seed", seed)))
    one, same, other, default = (
        (tmp_path / f"{name}.csv").read_bytes() for name in ("one", "same", "other", "default")
    )
    assert one == same
    assert len({one, other, default}) == 3


def test_a_longer_file_begins_with_the_shorter_and_chunks_leave_no_seam(run, tmp_path):
    run("simulate", "--rows", 20_002, "--output", "long.csv")
    run("simulate", "--rows", 3, "--output", "short.csv")
    long, short = ((tmp_path / f"{name}.csv").read_text(encoding="utf-8") for name in ("long", "short"))
    assert long.startswith(short)
    lines = long.splitlines()
    assert len(lines) == 20_003
    assert [line.split(",")[0] for line in lines[-3:]] == ["sim-20000", "sim-20001", "sim-20002"]
    assert lines[1].split(",", 1)[1] != lines[20_001].split(",", 1)[1]


def test_the_file_holds_the_cohort_that_training_draws(run, tmp_path):
    run("simulate", "--rows", 200, "--seed", 5, "--output", "out.csv")
    written, drawn = read(tmp_path / "out.csv"), simulate(200, 5)
    assert np.array_equal(written.X, drawn.X)
    assert written.frame[list(DRUGS)].equals(drawn.frame[list(DRUGS)])


@pytest.mark.parametrize(
    "arguments", [["--rows", 0], ["--rows", -1], ["--rows", "many"], [], ["--rows", 1, "--seed", -1]]
)
def test_what_cannot_be_drawn_is_refused(run, tmp_path, arguments):
    result = run("simulate", *arguments)
    assert result.exit_code == 2
    assert "Error: " in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", [".", "absent/out.csv", "file/out.csv"])
def test_an_output_that_cannot_be_written_is_told_in_words(run, tmp_path, output):
    (tmp_path / "file").write_bytes(b"")
    result = run("simulate", "--rows", 1, "--output", output)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)
    assert "Error: " in result.output
    assert output in result.output


def test_help_names_the_commands_and_the_version_is_known(run):
    assert "simulate" in run("--help").output
    assert __version__ in run("--version").output
