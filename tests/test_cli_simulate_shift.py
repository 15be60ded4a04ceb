"""`drugpred simulate`: shifts, and where the file goes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from drugpred.cli import main
from drugpred.codebook import DRUGS, INPUTS
from drugpred.data.distribution_shift import MAX_STRENGTH, draw
from drugpred.data.respondents import read


@pytest.fixture
def simulate(tmp_path, monkeypatch):
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["simulate", "--rows", "2000", *arguments])


def test_the_file_holds_the_shifted_cohort(simulate, tmp_path):
    assert simulate("--shift", "older=0.4", "--shift", "impulsive", "--shift", "label-noise=0.1").exit_code == 0
    written = read(tmp_path / "simulated.csv")
    ((rows, last_use),) = draw(2000, 42, {"older": 0.4, "impulsive": 0.5, "label-noise": 0.1})
    assert np.array_equal(written.X, rows)
    assert np.array_equal(written.last_use, last_use)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The respondents that the command draws without a shift."""
    path = tmp_path_factory.mktemp("plain") / "simulated.csv"
    assert CliRunner().invoke(main, ["simulate", "--rows", "2000", "--output", str(path)]).exit_code == 0
    return read(path).frame


def test_shifts_go_the_way_they_say(simulate, tmp_path, plain):
    def change(column, shift):
        assert simulate("--shift", shift).exit_code == 0
        return read(tmp_path / "simulated.csv").frame[column].mean() - plain[column].mean()

    assert change("age", "older") > 0.3
    assert change("impulsivity", "impulsive") > 0.3
    assert change("openness", "openness=-1") < -0.7


def test_noise_leaves_the_inputs_as_they_are(simulate, tmp_path, plain):
    assert simulate("--shift", "label-noise=0.2").exit_code == 0
    noisy = read(tmp_path / "simulated.csv").frame
    assert noisy[list(INPUTS)].equals(plain[list(INPUTS)])
    assert (noisy[list(DRUGS)] != plain[list(DRUGS)]).to_numpy().mean() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        ("taller", "expected one of older, impulsive, age, "),
        ("older=much", "expected a number from -1000 to 1000 after older="),
        ("older=nan", "expected a number from -1000 to 1000 after older="),
        ("older=inf", "expected a number from -1000 to 1000 after older="),
        ("older=1e308", "expected a number from -1000 to 1000 after older="),
        ("impulsive=-1e308", "expected a number from -1000 to 1000 after impulsive="),
        ("label-noise=1.1", "expected a number from 0 to 1 after label-noise="),
        ("label-noise=-0.1", "expected a number from 0 to 1 after label-noise="),
    ],
)
def test_an_invalid_shift_is_refused(simulate, tmp_path, shift, expected):
    result = simulate("--shift", shift)
    assert result.exit_code == 2
    assert expected in " ".join(result.output.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_the_strongest_shift_moves_everybody(simulate, tmp_path):
    assert simulate("--shift", f"older={MAX_STRENGTH}").exit_code == 0
    assert set(read(tmp_path / "simulated.csv").frame["age"]) == {5}


COMMAND = f"{sys.executable} -c 'from drugpred.cli import main; main()' simulate --rows"


def shell(folder, command):
    return subprocess.run(
        ["/bin/bash", "-c", command], cwd=folder, capture_output=True, check=False, timeout=60, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("output", ["-", "/dev/stdout", "out.csv > out.csv"])
def test_on_the_standard_output_stand_data_alone(tmp_path, output):
    done = shell(tmp_path, f"{COMMAND} 30 --output {output}")
    assert done.returncode == 0
    content = (tmp_path / "out.csv").read_text(encoding="utf-8") if ">" in output else done.stdout
    (tmp_path / "read.csv").write_text(content, encoding="utf-8")
    assert len(read(tmp_path / "read.csv")) == 30
    assert "30 simulated respondents in standard output" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"out.csv", "read.csv"}


@pytest.mark.slow
def test_a_closed_pipe_ends_it_quietly(tmp_path):
    done = shell(tmp_path, f"{COMMAND} 40000 --output - | head -1; echo ${{PIPESTATUS[@]}}")
    header, statuses = done.stdout.splitlines()
    assert header.startswith("ID,Age,")
    assert statuses == f"{128 + signal.SIGPIPE} 0"
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_pipe_receives_the_output(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = shell(tmp_path, f"cat pipe & {COMMAND} 30 --output pipe >/dev/null; wait")
    assert done.stdout.count("\n") == 31
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("older", ["older", None])
def test_an_interrupted_run_keeps_the_old_file(simulate, tmp_path, monkeypatch, error, older):
    def interrupted(*_):
        yield from draw(10, 1, {})
        raise error

    if older:
        Path("simulated.csv").write_text(older, encoding="utf-8")
    monkeypatch.setattr("drugpred.data.distribution_shift.draw", interrupted)
    result = simulate()
    assert result.exit_code == (130 if error is KeyboardInterrupt else 2)
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == [older] * bool(older)


def test_names_may_be_no_utf8(simulate, tmp_path):
    result = simulate("--output", os.fsdecode(b"M\xe4rz.csv"))
    assert result.exit_code == 0
    assert "2000 simulated respondents in M\ufffdrz.csv" in result.output
    assert len(read(tmp_path / os.fsdecode(b"M\xe4rz.csv"))) == 2000
