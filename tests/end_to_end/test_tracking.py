"""Training runs in a real MLflow server, asked by its client, by REST and by the addresses of its page."""

import io
import os
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import httpx
import pandas as pd
import pytest
from bentoml._internal.models import ModelStore
from click.testing import CliRunner
from pandas.testing import assert_frame_equal

from drugpred import cli, model_store
from drugpred.model import Model
from drugpred.schemas import EXAMPLE
from tests.harness import ROOT, running, skip
from tests.harness.ports import free_ports
from tests.harness.store import using

QUICK = ROOT / "tests" / "quick.yaml"

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of a server that keeps all it is given in a folder of the tests."""
    if find_spec("mlflow") is None:
        skip("no MLflow: pip install -e '.[track]'")
    folder = tmp_path_factory.mktemp("mlflow")
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/artifacts"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    url = f"http://127.0.0.1:{port}"
    with running([*command, *places], folder / "log", f"{url}/health", cwd=folder, env=os.environ | quiet):
        yield url


def command(data):
    return [str(ROOT / "train.py"), "--track", "--config", str(QUICK), "--data", str(data)]


@dataclass
class Training:
    """A folder with a model store, in which training runs are started."""

    folder: Path
    url: str

    @property
    def environment(self):
        others = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        return others | {"BENTOML_HOME": str(self.folder / "home"), "MLFLOW_TRACKING_URI": self.url}

    def start(self, data):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen([sys.executable, *command(data)], cwd=self.folder, env=self.environment, **pipes)

    def run(self, data):
        """Run the command in this process, to its end; return the exit code and all that was printed."""
        with (
            patch.dict(os.environ, self.environment, clear=True),
            patch.object(sys, "argv", command(data)),
            using(self.folder / "home"),
            redirect_stdout(io.StringIO()) as output,
            redirect_stderr(output),
        ):
            return runpy.run_path(str(ROOT / "train.py"))["main"](), output.getvalue()

    @property
    def models(self):
        return [model_store.read(model) for model in ModelStore(self.folder / "home" / "models").list(model_store.NAME)]


@pytest.fixture(scope="module")
def training(tmp_path_factory, url, uci_path):
    """Two runs of the same configuration at once, one of them here, into the same server and the same model store."""
    training = Training(tmp_path_factory.mktemp("training"), url)
    some = tmp_path_factory.mktemp("data") / "some.data"
    some.write_text("".join(uci_path.read_text(encoding="utf-8").splitlines(keepends=True)[:400]), encoding="utf-8")
    process = training.start(some)
    process.stdout.readline()  # it has imported all, and trains
    code, output = training.run(some)
    rest, _ = process.communicate(timeout=600)
    assert (code, process.returncode) == (0, 0), output + rest
    return training


@pytest.fixture(scope="module")
def client(url):
    import mlflow

    return mlflow.MlflowClient(tracking_uri=url)


def test_runs_at_once_store_whole_models_that_name_their_runs(training, client):
    assert len(training.models) == 2
    for model in training.models:
        run = client.get_run(model.card.run_id)
        assert run.info.status == "FINISHED"
        assert run.data.tags["bento_model"] == model.tag
        assert model.card.overall.items() <= run.data.metrics.items()
        assert run.data.params["data.sha256"] == model.card.data.sha256
    newest = ModelStore(training.folder / "home" / "models").get(model_store.NAME)
    assert str(newest.tag) in {model.tag for model in training.models}


def test_nothing_is_left_where_runs_are_tracked_elsewhere(training):
    assert {path.name for path in training.folder.iterdir()} == {"home"}


def test_the_run_is_shown_by_rest(training, url):
    (card, _) = (model.card for model in training.models)
    said = httpx.get(f"{url}/api/2.0/mlflow/runs/get", params={"run_id": card.run_id}).json()["run"]
    metrics = {metric["key"]: metric["value"] for metric in said["data"]["metrics"]}
    assert metrics == card.overall


def test_its_report_and_card_are_downloaded_as_they_are_stored(training, url):
    for model in training.models:
        for path in [model.path / "card.json", *(model.path / "report").iterdir()]:
            name = path.relative_to(model.path).as_posix()
            answer = httpx.get(f"{url}/get-artifact", params={"path": name, "run_uuid": model.card.run_id})
            assert answer.content == path.read_bytes(), name


def test_the_registered_model_predicts_like_the_stored_one(training, client, url, tmp_path):
    import mlflow

    versions = {version.run_id: version for version in client.search_model_versions("name='drug_consumption'")}
    assert set(versions) == {model.card.run_id for model in training.models}
    model = training.models[0]
    version = versions[model.card.run_id]
    assert version.tags == {"bento_model": model.tag, "data_source": "file"}
    people = pd.DataFrame([EXAMPLE])
    mlflow.set_tracking_uri(url)
    try:
        loaded = mlflow.pyfunc.load_model(f"models:/drug_consumption/{version.version}", dst_path=str(tmp_path))
    finally:
        mlflow.set_tracking_uri(None)
    assert_frame_equal(loaded.predict(people), Model(model).predict_proba(people))


def test_a_run_that_the_gate_refuses_is_marked_as_failed(training, client, tmp_path):
    simulated = tmp_path / "simulated.csv"
    assert CliRunner().invoke(cli.main, ["simulate", "--rows", "300", "--output", str(simulated)]).exit_code == 0
    before = [model.tag for model in training.models]
    code, output = training.run(simulated)
    assert code == 3, output
    assert [model.tag for model in training.models] == before
    experiment = client.get_experiment_by_name("drug_consumption")
    (failed,) = client.search_runs([experiment.experiment_id], "attributes.status = 'FAILED'")
    assert "it was trained on simulated respondents" in failed.data.tags["error"]
    assert failed.data.tags["error"] in output
    assert failed.data.metrics["decade_log_loss"] > 0
    assert "bento_model" not in failed.data.tags
    artifacts = {artifact.path for artifact in client.list_artifacts(failed.info.run_id)}
    assert artifacts == {"card.json", "configuration.json"}
