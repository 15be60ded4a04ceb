"""What training and evaluation share."""

import numpy as np
import pytest
from rich.console import Console

from drugpred.data import download
from drugpred.errors import DataError, DownloadError
from drugpred.training import experiment
from drugpred.training.card import build_card
from drugpred.training.classification_metrics import METRICS
from drugpred.training.configuration import Configuration, LogisticConfiguration
from drugpred.training.evaluation import Evaluation, make_folds

CONFIG = Configuration.model_validate(
    {
        "seed": 3,
        "overclaimers": "keep",
        "estimator": {
            "kind": "network",
            "hidden_units": 2,
            "penalty": 25,
            "networks": 1,
            "linear_share": 0.3,
            "linear_drugs": [],
            "linear_penalty": 2,
            "iterations": 5,
            "forest_share": 0.2,
            "trees": 2,
        },
        "cross_validation": {"folds": 2, "repeats": 2},
        "simulated_respondents": 1000,
    }
)
LOGISTIC = LogisticConfiguration(kind="logistic", penalty=5, sampler="none")


@pytest.fixture
def some(real):
    return type(real)(real.frame.iloc[::6], "file", "abc")


@pytest.fixture
def console():
    return Console(record=True, width=200)


def test_the_file_that_is_named_is_taken(uci_path, console, real):
    respondents = experiment.load_respondents(uci_path, CONFIG, console)
    assert respondents.frame.equals(real.frame)
    assert "1885 respondents, source: uci" in console.export_text()


def test_the_learning_curve_rises_to_the_evaluation_of_all_rows(real, monkeypatch):
    tested = []
    cross_validate = experiment.cross_validate

    def recorded(pipeline, X, last_use, folds, *rest, **named):
        tested.append([test.tolist() for _, test in folds])
        return cross_validate(pipeline, X, last_use, folds, *rest, **named)

    monkeypatch.setattr(experiment, "cross_validate", recorded)
    evaluation = experiment.cross_validate_model(real, CONFIG)
    curve = experiment.learning_curve(real, CONFIG, evaluation)
    assert list(curve) == [236, 471, 942]
    values = [figures["decade_auc15"][0] for figures in curve.values()]
    assert values == sorted(values)
    assert values[-1] == evaluation.overall()["decade_auc15"]
    # The same test folds at each size: those of the first repeat.
    assert tested[1] == tested[2] == tested[0][:2]
    assert experiment.learning_curve(real, CONFIG, evaluation) == curve


def test_over_claimers_are_dropped_on_demand(uci_path, console):
    assert (
        len(experiment.load_respondents(uci_path, CONFIG.model_copy(update={"overclaimers": "drop"}), console)) == 1877
    )


def test_without_data_respondents_are_simulated_and_it_says_so(console, monkeypatch):
    def fail(path):
        raise DownloadError("no [network]")

    monkeypatch.setattr(download, "load", fail)
    one, same = (experiment.load_respondents(None, CONFIG, console) for _ in range(2))
    assert (one.source, len(one)) == ("simulated", 1000)
    assert one.frame.equals(same.frame)
    said = console.export_text()
    assert "no [network]" in said
    assert "SIMULATED" in said


def test_too_few_respondents_are_refused(console, monkeypatch, real):
    for n, refused in ((experiment.MIN_RESPONDENTS - 1, True), (experiment.MIN_RESPONDENTS, False)):
        monkeypatch.setattr(download, "load", lambda path, n=n: type(real)(real.frame.iloc[:n], "file", ""))
        if refused:
            with pytest.raises(DataError, match="at least 200"):
                experiment.load_respondents(None, CONFIG, console)
        else:
            assert len(experiment.load_respondents(None, CONFIG, console)) == n


def test_the_configuration_decides_the_folds_and_the_model(some, tmp_path):
    evaluation = experiment.cross_validate_model(some, CONFIG, tmp_path)
    assert evaluation.probabilities.shape == (2, len(some), 18, 6)
    assert len(list(tmp_path.iterdir())) == 4
    for i, (_, test) in enumerate(make_folds(some.last_use, 2, 2, 3)):
        assert set(evaluation.tested[i // 2, test]) == {i % 2}
    card = build_card(some, CONFIG, evaluation, "run")
    assert (card.run_id, card.reference_split, card.estimator) == ("run", None, "network")
    assert card.overall == evaluation.overall()


def test_the_reference_split_of_the_real_data_is_measured(real):
    n = len(real)
    nothing = {name: np.full((2, 18, 6), np.nan) for name in METRICS}
    evaluation = Evaluation(real.last_use, np.full((1, n, 18, 6), 0.5), nothing, np.arange(n)[np.newaxis] % 2)
    config = CONFIG.model_copy(update={"estimator": LOGISTIC})
    assert build_card(real, config, evaluation).reference_split["auc"] > 0.86


@pytest.mark.slow
def test_other_processes_fit_folds_as_this_one_does(some, monkeypatch, tmp_path):
    here = experiment.cross_validate_model(some, CONFIG)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    there = experiment.cross_validate_model(some, CONFIG, tmp_path)
    assert np.array_equal(here.probabilities, there.probabilities)
    assert len(list(tmp_path.iterdir())) == 4
