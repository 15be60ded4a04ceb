"""`drugpred models`, on a store with two models."""

import json
import shutil

import pytest
from click.testing import CliRunner

from drugpred import model_store
from drugpred.cli import main
from tests.harness.store import using


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(main, ["models", *arguments])


@pytest.fixture
def home(tmp_path):
    """An empty store in the place of the user's."""
    with using(tmp_path):
        yield tmp_path


@pytest.fixture
def tags(home, stored_model):
    """Two models, the older first; the newer has another seed, another data source and other figures."""
    older = stored_model.card
    newer = older.model_copy(
        update={
            "configuration": older.configuration | {"seed": 7},
            "data": older.data.model_copy(update={"source": "simulated"}),
            "overall": older.overall | {"decade_auc15": older.overall["decade_auc15"] + 0.0125},
        }
    )
    arrays = [(stored_model.path / name).read_bytes() for name in ("network.npz", "background.npy", "uncertainty.npz")]
    return [model_store.write(b"pipeline", *arrays, card, {}) for card in (older, newer)]


def rows(output):
    return {cells[0]: cells[1:] for cells in (line.split() for line in output.splitlines())}


def test_models_are_listed_with_their_figures_the_newest_first(run, tags, stored_model):
    result = run()
    assert result.exit_code == 0
    header, *lines = result.output.splitlines()
    assert " ".join(header.split()) == "model stored (UTC) data cannabis AUC mean AUC log-loss calib. error"
    assert [line.split()[0] for line in lines] == tags[::-1]
    overall = stored_model.card.overall
    figures = ("cannabis_decade_auc", "decade_auc15", "decade_log_loss", "decade_calibration_error")
    tag, date, _, source, *values = lines[1].split()
    created = model_store.resolve(tag).creation_time
    assert (date, source) == (f"{created:%Y-%m-%d}", "uci")
    assert values == [f"{overall[name]:.4f}" for name in figures]
    assert lines[0].split()[3] == "simulated"


def test_two_models_are_compared(run, tags, stored_model):
    result = run(*tags)
    assert result.exit_code == 0
    lines = rows(result.output)
    assert lines["model"] == [*tags, "differs"]
    assert lines["configuration.seed"] == ["42", "7", "differs"]
    assert lines["data.source"] == ["uci", "simulated", "differs"]
    assert lines["configuration.estimator.kind"] == ["network", "network"]
    auc = stored_model.card.overall["decade_auc15"]
    assert lines["decade_auc15"] == [f"{auc:.4f}", f"{auc + 0.0125:.4f}", "+0.0125"]
    assert lines["lsd_decade_auc"][2] == "+0.0000"
    assert set(lines) >= set(stored_model.card.overall)


def test_one_model_is_described(run, tags):
    lines = rows(run(tags[0]).output)
    assert lines["model"] == [tags[0]]
    assert lines["configuration.seed"] == ["42"]


def test_an_unknown_model_is_met_with_those_that_there_are(run, tags):
    result = run(tags[0], "drug_consumption:absent")
    assert result.exit_code == 2
    assert result.output.startswith("Error: no model drug_consumption:absent")
    assert all(tag in result.output for tag in tags)


def test_a_store_without_models_is_an_error(run, home):
    result = run()
    assert result.exit_code == 2
    assert result.output == "Error: no model drug_consumption in the BentoML model store; run `python train.py` first\n"


def test_a_model_that_cannot_be_read_hides_no_other(run, tags, home):
    older, newer = (home / "models" / tag.replace(":", "/") for tag in tags)
    (newer / "model.yaml").write_text("{", encoding="utf-8")
    assert [line.split()[0] for line in run().output.splitlines()[1:]] == tags[:1]
    shutil.rmtree(newer)
    card = json.loads((older / "card.json").read_text(encoding="utf-8"))
    (older / "card.json").write_text(json.dumps(card | {"seed": 8}), encoding="utf-8")
    assert run().exit_code == 0
    assert "card.json was changed" in run(tags[0]).output
