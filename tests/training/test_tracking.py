"""What MLflow keeps of a run: here in a local store, in tests/end_to_end in a real server."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from drugpred.errors import ConfigurationError, DataError, MissingPackageError
from drugpred.model import Model
from drugpred.schemas import EXAMPLE
from drugpred.training import tracking
from drugpred.training.configuration import Configuration
from tests.harness import ROOT, skip

# MLflow and its dependencies emit warnings about each other, and take half a minute to start.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.slow]


@pytest.fixture(scope="module")
def mlflow():
    if find_spec("mlflow") is None:
        skip("no MLflow: pip install -e '.[track]'")
    return tracking._import()


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Somewhere else than the checkout, and no tracker of the user's. MLflow takes seconds to make a new one."""
    folder = tmp_path_factory.mktemp("tracking")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in of_mlflow():
            patch.delenv(name)
        yield folder
        for name in of_mlflow():
            del os.environ[name]  # MLflow sets some for its children


def of_mlflow():
    return [name for name in os.environ if name.startswith("MLFLOW_")]


@pytest.fixture(scope="module")
def config(stored_model):
    return Configuration.model_validate(stored_model.card.configuration)


@pytest.fixture(scope="module")
def kept(mlflow, config, stored_model):
    """A run that ended well, as MLflow returns it."""
    with tracking.tracked_run(config) as run:
        run.log_evaluation(stored_model.card)
        run.log_model(stored_model)
    return mlflow.MlflowClient().get_run(run.id)


def test_a_run_is_kept_in_the_current_folder(kept, folder, mlflow):
    assert kept.info.status == "FINISHED"
    assert {path.name for path in folder.iterdir()} == {"mlflow.db", "mlflow.db.lock", "mlruns"}
    assert mlflow.MlflowClient().get_experiment(kept.info.experiment_id).name == "drug_consumption"
    assert kept.data.tags["bento_model"].startswith("drug_consumption:")


def test_the_configuration_and_the_data_are_parameters(kept, stored_model):
    parameters = kept.data.params
    assert (parameters["estimator.kind"], parameters["cross_validation.folds"]) == ("network", "2")
    assert parameters["seed"] == str(stored_model.card.seed)
    assert parameters["data.sha256"] == stored_model.card.data.sha256
    assert parameters["data.source"] == "uci"
    assert parameters["git_commit"] == str(stored_model.card.git_commit)
    assert parameters["versions.numpy"] == np.__version__


def test_the_headline_figures_are_its_metrics(kept, stored_model):
    assert kept.data.metrics == stored_model.card.overall


def test_the_report_and_the_card_are_artifacts(kept, stored_model, mlflow, tmp_path):
    found = Path(mlflow.artifacts.download_artifacts(run_id=kept.info.run_id, dst_path=str(tmp_path / "found")))
    report = stored_model.path / "report"
    assert {path.name for path in (found / "report").iterdir()} == {path.name for path in report.iterdir()}
    assert (found / "report" / "figures.csv").read_bytes() == (report / "figures.csv").read_bytes()
    assert (found / "card.json").read_text(encoding="utf-8") == stored_model.card.model_dump_json(indent=1)


@pytest.fixture(scope="module")
def logged(kept, mlflow):
    """The registered model, as MLflow loads it."""
    return mlflow.pyfunc.load_model("models:/drug_consumption/1")


def test_the_model_is_registered(kept, stored_model, mlflow):
    (version,) = mlflow.MlflowClient().search_model_versions("name='drug_consumption'")
    assert version.run_id == kept.info.run_id
    assert version.tags == {"bento_model": stored_model.tag, "data_source": "uci"}


def test_its_columns_are_those_of_a_profile(logged):
    assert logged.metadata.signature == tracking._signature()


@pytest.mark.parametrize("age", [25, "25-34"])
def test_it_predicts_as_the_stored_model(logged, stored_model, age):
    people = pd.DataFrame([EXAMPLE | {"age": age}, EXAMPLE | {"age": age, "gender": "Male", "openness": -1.0}])
    assert_frame_equal(logged.predict(people), Model(stored_model).predict_proba(people))
    by_week = logged.predict(people, params={"window": "week"})
    assert_frame_equal(by_week, Model(stored_model).predict_proba(people, "week"))


def test_a_wrong_row_is_refused_with_its_place(logged):
    with pytest.raises(Exception, match=r"country, row 1: expected one of Australia"):
        logged.predict(pd.DataFrame([EXAMPLE, EXAMPLE | {"country": "Atlantis"}]))
    with pytest.raises(Exception, match="missing inputs \\['openness'\\]"):
        logged.predict(pd.DataFrame([EXAMPLE]).drop(columns="openness"))


def test_nothing_is_pickled_and_no_respondent_is_in_it(kept, folder, records_in, mlflow):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"mlflow.db", "MLmodel", "pipeline.skops", "card.json", "index.html", "input_example.json"} <= {
        path.name for path in files
    }
    for path in files:
        assert path.suffix not in {".pkl", ".pickle", ".joblib", ".parquet"}
        assert not path.read_bytes().startswith(b"\x80")
        assert records_in(path.read_bytes()) == [], path
    (example,) = (json.loads(path.read_text()) for path in files if path.name == "input_example.json")
    assert example == {"columns": list(EXAMPLE), "data": [list(EXAMPLE.values())]}


def test_a_refused_run_is_marked_with_the_reason(mlflow, config):
    with pytest.raises(DataError), tracking.tracked_run(config) as run:
        raise DataError("expected a number", line=3, column="age")
    failed = mlflow.MlflowClient().get_run(run.id)
    assert failed.info.status == "FAILED"
    assert failed.data.tags["error"] == "line 3, column age: expected a number"
    assert failed.data.params["estimator.kind"] == "network"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_only_the_type_of_any_other_failure_is_logged(mlflow, config, error):
    with pytest.raises(error), tracking.tracked_run(config) as run:
        raise error("0.31, -0.58")
    failed = mlflow.MlflowClient().get_run(run.id)
    assert (failed.info.status, failed.data.tags["error"]) == ("FAILED", error.__name__)


def test_mlflows_own_variables_choose_the_experiment(mlflow, config, monkeypatch):
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)  # of the runs before this one
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    with tracking.tracked_run(config) as run:
        pass
    client = mlflow.MlflowClient()
    assert client.get_experiment(client.get_run(run.id).info.experiment_id).name == "another"


def test_the_error_about_an_absent_server_hides_the_password(mlflow, config, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        pytest.raises(ConfigurationError, match=r"^MLflow: .*//127\.0\.0\.1:9/") as refused,
        tracking.tracked_run(config),
    ):
        pytest.fail("there is no server")
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_mlflow_the_error_names_the_package_to_install(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingPackageError, match=r"pip install -e '\.\[train,track\]'"), tracking.tracked_run(config):
        pytest.fail("there is no MLflow")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("mysql://someone:secret@127.0.0.1/x", r"the store needs the package MySQLdb: pip install mysqlclient$"),
        ("postgresql+asyncpg://someone:secret@127.0.0.1/x", r"the package asyncpg: pip install asyncpg$"),
        ("sqlite:////proc/absent/x.db", r"(unable to open|No such file)"),
        ("unknown://x", r"unknown://x"),
    ],
)
def test_a_store_that_cannot_be_used_is_reported_in_a_line(mlflow, config, monkeypatch, uri, expected):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConfigurationError, match=rf"^MLflow: .*{expected}") as refused, tracking.tracked_run(config):
        pytest.fail("there is no such store")
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_cannot_be_kept_are_reported_before_the_work(mlflow, config, tmp_path, monkeypatch):
    (tmp_path / "mlruns").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)  # of the runs before this one
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(ConfigurationError, match=r"^MLflow: .*mlruns"), tracking.tracked_run(config):
        pytest.fail("the files cannot be kept")
    assert mlflow.active_run() is None
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FAILED"
    assert "mlruns" in run.data.tags["error"]


def output_of(code, folder=ROOT):
    """Run code as users do, who are not a test and not CI, of which MLflow never reports; return its output."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTEST_", "CI", "GITHUB_", "GITLAB_"))}
    mine["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=mine, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_mlflow_is_imported_for_tracking_only():
    assert output_of("import sys, drugpred.training.tracking; print('mlflow' in sys.modules)") == "False"


def test_several_at_once_make_one_store_and_report_to_nobody(mlflow, tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    code = f"""
from multiprocessing import get_context
from pathlib import Path
from drugpred.training import configuration, tracking

def run():
    with tracking.tracked_run(configuration.read(Path({str(ROOT / "tests" / "quick.yaml")!r}))):
        pass

tracking._import()
import mlflow.store.tracking.sqlalchemy_store, mlflow.telemetry
print(mlflow.telemetry.get_telemetry_client() is None)
processes = [get_context("fork").Process(target=run) for _ in range(3)]  # imports take seconds
for process in processes:
    process.start()
for process in processes:
    process.join()
print([process.exitcode for process in processes])
"""
    assert output_of(code, folder) == "True\n[0, 0, 0]"
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("drug_consumption").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
