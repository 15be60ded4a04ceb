"""`drugpred simulate --shift`."""

import numpy as np
import pytest
from click.testing import CliRunner

from drugpred.cli import main
from drugpred.codebook import DRUGS, INPUTS
from drugpred.data.respondents import read
from drugpred.data.shifts import draw


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


def test_shifts_go_the_way_they_say(simulate, tmp_path):
    def mean(column, *arguments):
        assert simulate(*arguments).exit_code == 0
        return read(tmp_path / "simulated.csv").frame[column].mean()

    assert mean("age", "--shift", "older") > mean("age") + 0.3
    assert mean("impulsivity", "--shift", "impulsive") > mean("impulsivity") + 0.3
    assert mean("openness", "--shift", "openness=-1") < mean("openness") - 0.7


def test_noise_leaves_the_inputs_as_they_are(simulate, tmp_path):
    simulate()
    true = read(tmp_path / "simulated.csv").frame
    simulate("--shift", "label-noise=0.2")
    noisy = read(tmp_path / "simulated.csv").frame
    assert noisy[list(INPUTS)].equals(true[list(INPUTS)])
    assert (noisy[list(DRUGS)] != true[list(DRUGS)]).to_numpy().mean() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        ("taller", "expected one of older, impulsive, age, "),
        ("older=much", "expected a number after older="),
        ("older=nan", "expected a number after older="),
        ("older=inf", "expected a number after older="),
        ("label-noise=1.1", "expected a number from 0 to 1 after label-noise="),
        ("label-noise=-0.1", "expected a number from 0 to 1 after label-noise="),
    ],
)
def test_what_is_no_shift_is_refused(simulate, tmp_path, shift, expected):
    result = simulate("--shift", shift)
    assert result.exit_code == 2
    assert expected in " ".join(result.output.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []
