"""Two models compared over a file: `drugpred compare`."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

from drugpred import model_store
from drugpred.bulk import comparison
from drugpred.cli import main
from drugpred.codebook import DRUGS, WINDOWS
from drugpred.errors import DataError
from drugpred.monitoring.comparison import compare_losses
from drugpred.schemas import EXAMPLE


@pytest.mark.parametrize("window", ["decade", "month"])
def test_respondents_have_the_disagreement_and_the_losses_of_arithmetic(
    stored_model, other_model, uci_path, real, window
):
    found = comparison.compare(uci_path, stored_model, other_model, window)
    at = WINDOWS.index(window)
    p, q = (model.predictor.predict_proba(real.X)[:, :, at] for model in (stored_model, other_model))
    assert (found.people, found.rejected) == (len(real), 0)
    means = [found.disagreement[drug].mean_absolute for drug in DRUGS]
    assert means == pytest.approx(np.abs(q - p).mean(0).tolist(), abs=1e-12)
    used = real.last_use > at
    expected = compare_losses(*(((each - used) ** 2).mean(1) for each in (p, q)))
    assert found.brier == expected
    assert found.log_loss.difference == pytest.approx(
        float(np.diff([-np.log(np.where(used, each, 1 - each)).mean() for each in (p, q)])[0]), abs=1e-6
    )


@pytest.fixture
def people(tmp_path):
    path = tmp_path / "people.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, EXAMPLE)
        writer.writeheader()
        writer.writerows([EXAMPLE, EXAMPLE, EXAMPLE | {"country": "Atlantis"}])
    return path


def test_profiles_have_no_losses(stored_model, other_model, people):
    found = comparison.compare(people, stored_model, other_model, "decade")
    assert (found.people, found.rejected, found.brier, found.log_loss) == (2, 1, None, None)


def test_a_file_without_a_valid_profile_is_refused(stored_model, other_model, people):
    people.write_text("\n".join(people.read_text().splitlines()[:1] + people.read_text().splitlines()[3:]) + "\n")
    with pytest.raises(DataError, match=r"expected at least one valid profile in .*, found 1 invalid rows"):
        comparison.compare(people, stored_model, other_model, "decade")


def test_the_command_prints_both(monkeypatch, stored_model, other_model, uci_path, people):
    stored = {"one": stored_model, "two": other_model}
    monkeypatch.setattr(model_store, "load", stored.__getitem__)
    done = CliRunner().invoke(main, ["compare", "one", "two", str(uci_path)])
    assert done.exit_code == 0, done.output
    assert f"1885 people, use within: decade; {other_model.tag} against {stored_model.tag}" in done.output
    assert "log-loss 0." in done.output
    assert done.output.rstrip().endswith(": worse")
    done = CliRunner().invoke(main, ["compare", "one", "two", str(people), "--window", "day"])
    assert "1 invalid rows left out" in done.output
    assert "log-loss" not in done.output
