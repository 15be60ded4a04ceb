"""What training and evaluation have in common."""

import numpy as np
import pytest
from rich.console import Console

from drugpred.data import source
from drugpred.errors import DataError, DownloadError
from drugpred.training import run
from drugpred.training.configuration import Configuration
from drugpred.training.evaluation import splits

CONFIG = Configuration.model_validate(
    {
        "seed": 3,
        "overclaimers": "keep",
        "estimator": {"kind": "logistic", "penalty": 5, "sampler": "none"},
        "cross_validation": {"folds": 2, "repeats": 2},
        "simulated_respondents": 1000,
    }
)


@pytest.fixture
def console():
    return Console(record=True, width=200)


def test_the_file_that_is_named_is_taken(uci_path, console, real):
    respondents = run.load(uci_path, CONFIG, console)
    assert respondents.frame.equals(real.frame)
    assert "1885 respondents, source: uci" in console.export_text()


def test_over_claimers_are_dropped_on_demand(uci_path, console):
    assert len(run.load(uci_path, CONFIG.model_copy(update={"overclaimers": "drop"}), console)) == 1877


def test_without_data_respondents_are_simulated_and_it_says_so(console, monkeypatch):
    def fail(path):
        raise DownloadError("no [network]")

    monkeypatch.setattr(source, "load", fail)
    one, same = (run.load(None, CONFIG, console) for _ in range(2))
    assert (one.source, len(one)) == ("simulated", 1000)
    assert one.frame.equals(same.frame)
    said = console.export_text()
    assert "no [network]" in said
    assert "SIMULATED" in said


def test_too_few_respondents_are_refused(console, monkeypatch, real):
    for n, refused in ((run.FEWEST - 1, True), (run.FEWEST, False)):
        monkeypatch.setattr(source, "load", lambda path, n=n: type(real)(real.frame.iloc[:n], "file", ""))
        if refused:
            with pytest.raises(DataError, match="at least 200"):
                run.load(None, CONFIG, console)
        else:
            assert len(run.load(None, CONFIG, console)) == n


def test_the_configuration_decides_the_folds(real):
    folds, expected = run.folds_of(real, CONFIG), splits(real.last_use, 2, 2, 3)
    assert all(
        np.array_equal(one, other)
        for pair in zip(folds, expected, strict=True)
        for one, other in zip(*pair, strict=True)
    )


def test_a_run_is_evaluated_and_carded(real, tmp_path):
    some = type(real)(real.frame.iloc[::3], "file", "abc")
    evaluation = run.cross_validated(some, CONFIG, tmp_path)
    assert evaluation.probabilities.shape == (2, len(some), 18, 6)
    assert len(list(tmp_path.iterdir())) == 4
    card = run.carded(some, CONFIG, evaluation, "run")
    assert (card.run_id, card.reference_split, card.estimator) == ("run", None, "logistic")
    assert card.overall == evaluation.overall()
    assert run.carded(real, CONFIG, run.cross_validated(real, CONFIG)).reference_split["auc"] > 0.86
