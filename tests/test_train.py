"""The training command, run as its users run it, or in this process, which has the libraries."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from bentoml._internal.models import ModelStore
from click.testing import CliRunner

from drugpred import cli, model_store
from tests.harness import imported
from tests.harness.store import load_train, using

TESTS = Path(__file__).parent
TRAIN = TESTS.parent / "train.py"
QUICK = (TESTS / "quick.yaml").read_text(encoding="utf-8")
CORES = ("LOKY_MAX_CPU_COUNT", "OPENBLAS_NUM_THREADS")


@dataclass
class Run:
    """A training run in folders of its own."""

    folder: Path
    process: subprocess.Popen | None = None
    code: int | None = None

    def finish(self):
        """Wait for the end; return the exit code and all that was printed."""
        if self.process:
            self.code = self.process.wait(timeout=600)
        return self.code, (self.folder / "output").read_text(encoding="utf-8")

    @property
    def models(self):
        return ModelStore(self.folder / "home" / "models")

    def network(self):
        return Path(self.models.get(model_store.NAME).path_of("network.npz")).read_bytes()

    def card(self):
        code, output = self.finish()
        assert code == 0, output
        assert f"stored {self.models.get(model_store.NAME).tag}" in output
        return model_store.read(self.models.get(model_store.NAME)).card


def prepare(folder, home=None):
    """Make the folders of a run, with a copy of that home; return its environment: no data and no network."""
    (folder / "cwd").mkdir(parents=True)
    (folder / "home" / "models").mkdir(parents=True)
    if home:
        shutil.copytree(home, folder / "home", dirs_exist_ok=True)
    # Nothing listens there.
    proxies = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")
    nothing = dict.fromkeys(("ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "DRUGPRED_DATA"), "")
    return proxies | nothing | {"BENTOML_HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}


def start(folder, *arguments, home=None, new_session=False, **environment):
    """Start a run, in a copy of that home."""
    mine = os.environ | prepare(folder, home) | environment
    with (folder / "output").open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, TRAIN, *arguments],
            env=mine,
            cwd=folder / "cwd",
            stdout=output,
            stderr=output,
            start_new_session=new_session,
        )
    return Run(folder, process)


def run_here(folder, *arguments, home=None, **environment):
    """Run the command in this process, to its end, in a copy of that home."""
    environment = prepare(folder, home) | environment
    with (
        pytest.MonkeyPatch.context() as patch,
        (folder / "output").open("w", encoding="utf-8") as output,
        redirect_stdout(output),
        redirect_stderr(output),
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.chdir(folder / "cwd")
        patch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        with using(folder / "home"):
            return Run(folder, code=load_train().main())


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A fast configuration that learns little and drops over-claimers, for tests that do not depend on it."""
    path = tmp_path_factory.mktemp("hasty") / "hasty.yaml"
    settings = yaml.safe_load(QUICK) | {"overclaimers": "drop"}
    settings["estimator"] |= {"iterations": 5, "networks": 1, "trees": 2}
    settings["cross_validation"]["repeats"] = 1
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def environment(tmp_path_factory, uci_path, hasty):
    """A run on the respondents that the environment names."""
    folder = tmp_path_factory.mktemp("runs") / "environment"
    return run_here(folder, "--config", hasty, DRUGPRED_DATA=str(uci_path))


@pytest.fixture(scope="module")
def nothing(tmp_path_factory, hasty, store):
    """A run without data and without a network, which stores its model by force: the newest one is of real data."""
    return run_here(tmp_path_factory.mktemp("runs") / "nothing", "--config", hasty, "--force", home=store)


@pytest.fixture(scope="module")
def again(tmp_path_factory, uci_path, hasty, environment):
    """The run of `environment` after it, in a process of its own on two cores; an option names the respondents."""
    folder, home = tmp_path_factory.mktemp("runs") / "again", environment.folder / "home"
    cores = dict.fromkeys(CORES, "2")
    run = start(folder, "--config", hasty, "--data", uci_path, home=home, DRUGPRED_DATA="/nowhere", **cores)
    run.finish()
    return run


def figures(card):
    """Return all that the data, the configuration and the seed decide."""
    return json.loads(card.model_dump_json(exclude={"created", "git_commit"}))


@pytest.mark.slow
def test_the_same_input_gives_the_same_figures_on_any_number_of_cores(environment, again):
    assert figures(environment.card()) == figures(again.card())
    assert environment.network() == again.network()


def test_a_quick_model_is_no_worse_than_the_reference_system(stored_model):
    assert stored_model.card.reference_split["accuracy"] > 0.7825
    assert stored_model.card.reference_split["auc"] > 0.847


def test_over_claimers_are_dropped_on_demand(environment):
    data = environment.card().data
    assert (data.respondents, data.overclaimers, data.source) == (1877, "drop", "uci")


def test_a_run_prints_every_drug_and_the_headline_figures(environment):
    card, (_, output) = environment.card(), environment.finish()
    for drug, windows in card.drugs.items():
        assert drug in output
        assert f"{windows['year'].auc:.3f}" in output
    # Rich truncates text that does not fit.
    assert "…" not in output
    assert f"{card.overall['cannabis_decade_auc']:.4f}" in output
    assert "1877 respondents, source: uci" in output


def test_runs_leave_nothing_where_they_are_run(environment, nothing):
    for run in (environment, nothing):
        assert list((run.folder / "cwd").iterdir()) == []
        assert not (run.folder / "cache" / "drugpred").exists()


@pytest.mark.slow
def test_both_forms_have_the_same_reference_split(tmp_path, hasty, decoded_path, environment):
    card = run_here(tmp_path / "decoded", "--config", hasty, "--data", decoded_path).card()
    assert (card.data.source, card.data.respondents) == ("uci", 1876)
    # The split is of the respondents that both forms have.
    assert card.reference_split == environment.card().reference_split


def test_without_data_and_network_it_trains_on_simulated_respondents_and_says_so_loudly(nothing):
    card, (_, output) = nothing.card(), nothing.finish()
    assert "NO REAL DATA: training on SIMULATED respondents" in output
    assert "archive.ics.uci.edu" in output
    assert "Traceback" not in output
    assert (card.data.source, card.data.respondents, card.reference_split) == ("simulated", 1000, None)
    model = nothing.models.get(model_store.NAME)
    assert model.info.labels["data_source"] == "simulated"
    assert "SIMULATED DATA" in Path(model.path_of("report/index.html")).read_text(encoding="utf-8")


def refused(run):
    """Return the one line of an orderly refusal that stored nothing."""
    code, output = run.finish()
    assert code == 2, output
    assert "Traceback" not in output
    assert not list((run.folder / "home").glob("models/*/*"))
    assert not (run.folder / "cache" / "drugpred").exists()
    assert list((run.folder / "cwd").iterdir()) == []
    return output.strip()


def test_malformed_input_is_refused_in_a_line_and_nothing_is_stored(tmp_path, uci_path):
    lines = uci_path.read_text(encoding="utf-8").splitlines()
    fields = lines[99].split(",")
    fields[7] = "secret-value"
    malformed = tmp_path / "malformed.data"
    malformed.write_text("\n".join([*lines[:99], ",".join(fields), *lines[100:]]), encoding="utf-8")
    config = tmp_path / "malformed.yaml"
    config.write_text(QUICK.replace("folds: 2", "folds: two"), encoding="utf-8")
    runs = {
        "data": run_here(tmp_path / "data", DRUGPRED_DATA=str(malformed)),
        "config": run_here(tmp_path / "config", "--config", config, "--data", uci_path),
    }
    said = {name: refused(run) for name, run in runs.items()}
    assert said["data"] == "error: line 100, column extraversion: expected a number"
    assert said["config"].startswith(f"error: {config}: ")
    assert "cross_validation.folds" in said["config"]


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--help"], 0, "the model, the folds and the seed"),
        (["--config", "absent.yaml"], 2, "argument --config: expected a file at absent.yaml"),
        (["--data", "absent.csv"], 2, "argument --data: expected a file at absent.csv"),
    ],
)
def test_options_are_answered_without_the_libraries(tmp_path, arguments, code, expected):
    run = start(tmp_path, *arguments, PYTHONPROFILEIMPORTTIME="1")
    assert run.process.wait() == code
    output = (run.folder / "output").read_text(encoding="utf-8")
    assert expected in " ".join(output.split())
    loaded = imported(output)
    assert "drugpred.errors" in loaded
    assert not {name.partition(".")[0] for name in loaded} & {"bentoml", "numpy", "pandas", "rich", "sklearn", "skops"}


@pytest.fixture
def train_here(monkeypatch):
    """Run the command in this process, where a test replaces parts of it."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        return load_train().main()

    return run


@pytest.mark.parametrize(("home", "expected"), [("file", "Not a directory"), ("full", "File too large")])
def test_a_full_store_is_reported_before_the_work(train_here, tmp_path, monkeypatch, capsys, room, home, expected):
    (tmp_path / "file").touch()
    monkeypatch.setattr("drugpred.model_store.home", lambda: tmp_path / home)
    monkeypatch.setattr("drugpred.training.experiment.load_respondents", None)  # the work
    with room(100_000):
        assert train_here() == 2
    assert capsys.readouterr().err == f"error: cannot write {tmp_path / home / 'models'}: {expected}\n"


def test_an_interrupted_run_says_so_in_a_line(train_here, tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("drugpred.model_store.home", lambda: tmp_path)
    monkeypatch.setattr("drugpred.training.experiment.load_respondents", interrupt)
    assert train_here() == 130
    assert (
        capsys.readouterr().err
        == "error: interrupted: no model was stored, unless a line above says so; run it again\n"
    )


def fitting(process):
    """Return the processes that fit folds: they have loaded scikit-learn."""
    found = [child for child in psutil.Process(process.pid).children() if "LokyProcess" in " ".join(child.cmdline())]
    return [child for child in found if any("sklearn" in file.path for file in child.memory_maps())]


@pytest.mark.slow
def test_an_interrupt_from_the_keyboard_reaches_all_processes_and_is_a_line(tmp_path, uci_path):
    run = start(tmp_path, "--data", uci_path, new_session=True, LOKY_MAX_CPU_COUNT="2")
    while len(fitting(run.process)) < 2:
        assert run.process.poll() is None
        time.sleep(0.05)
    os.killpg(run.process.pid, signal.SIGINT)
    code, output = run.finish()
    assert code == 130
    assert output.splitlines()[-1].startswith("error: interrupted: ")
    assert "Traceback" not in output


def tags(run):
    return {str(model.tag) for model in run.models.list(model_store.NAME)}


def test_the_first_model_needs_no_gate(environment):
    _, output = environment.finish()
    assert "no model to compare with: this is the first one" in output


@pytest.mark.slow
def test_an_equal_model_becomes_the_newest(environment, again):
    code, output = again.finish()
    assert code == 0, output
    (old,) = tags(environment)
    log_loss = f"{environment.card().overall['decade_log_loss']:.4f}"
    assert f"log-loss {log_loss}, that of {old} {log_loss} on the same folds: no worse" in output
    assert str(again.models.get(model_store.NAME).tag) != old


@pytest.mark.slow
def test_a_worse_model_is_refused_with_the_figures(tmp_path, uci_path, hasty, store, stored_model):
    run = run_here(tmp_path / "worse", "--config", hasty, "--data", uci_path, home=store)
    code, output = run.finish()
    assert code == 3, output
    loss = r"0\.\d{4}"
    said = rf"error: not stored: log-loss {loss}, that of {stored_model.tag} {loss} on the same folds: {loss} worse"
    assert re.search(said, output), output
    assert "Traceback" not in output
    assert tags(run) == {stored_model.tag}


def test_a_simulated_model_replaces_a_real_one_by_force(nothing, stored_model):
    assert str(nothing.models.get(model_store.NAME).tag) != stored_model.tag
    assert len(tags(nothing)) == 2


@pytest.mark.slow
def test_a_simulated_model_never_replaces_a_real_one_unasked(tmp_path, hasty, store, stored_model):
    simulated = tmp_path / "simulated.csv"
    assert CliRunner().invoke(cli.main, ["simulate", "--rows", "300", "--output", str(simulated)]).exit_code == 0
    run = run_here(tmp_path / "run", "--config", hasty, "--data", simulated, home=store)
    code, output = run.finish()
    assert code == 3, output
    assert "300 respondents, source: simulated" in output
    assert f"error: not stored: it was trained on simulated respondents, {stored_model.tag} was not; --force" in output
    assert tags(run) == {stored_model.tag}
