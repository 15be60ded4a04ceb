"""What MLflow keeps of a run: here in a local store, in tests/end_to_end in a real server."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import skops.io

from drugpred.codebook import DRUGS
from drugpred.errors import ConfigurationError, DataError, MissingPackageError
from drugpred.schemas import EXAMPLE, Profile
from drugpred.training import tracking
from drugpred.training.configuration import Configuration
from drugpred.training.estimators import TRUSTED
from tests.harness import skip

ROOT = Path(__file__).parents[2]
REPORT = {"index.html": b"<p>report</p>", "plots/roc.png": b"png"}

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
    pipeline = skops.io.load(stored_model.path / "pipeline.skops", trusted=TRUSTED)
    with tracking.tracked_run(config) as run:
        run.log_evaluation(stored_model.card)
        run.log_model(stored_model.tag, pipeline, stored_model.card, REPORT)
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


def test_its_figures_are_metrics(kept, stored_model):
    metrics, card = kept.data.metrics, stored_model.card
    assert card.overall.items() <= metrics.items()
    low, high = card.overall_intervals["decade_log_loss"]
    assert (metrics["decade_log_loss_low"], metrics["decade_log_loss_high"]) == (low, high)
    assert metrics["reference_split_auc"] == card.reference_split["auc"]
    for drug in DRUGS:
        for window, figures in card.drugs[drug].items():
            for name in ("auc", "log_loss", "calibration_error"):
                value = getattr(figures, name)
                assert metrics.get(f"{drug}/{window}/{name}") == value


def test_figures_that_cannot_be_measured_are_left_out(mlflow, config, stored_model):
    windows = stored_model.card.drugs["crack"]
    day = windows["day"].model_copy(update={"auc": None})
    drugs = stored_model.card.drugs | {"crack": windows | {"day": day}}
    with tracking.tracked_run(config) as run:
        run.log_evaluation(stored_model.card.model_copy(update={"drugs": drugs, "reference_split": None}))
    metrics = mlflow.MlflowClient().get_run(run.id).data.metrics
    assert "crack/day/log_loss" in metrics
    assert not {"crack/day/auc", "reference_split_auc"} & set(metrics)


def test_the_report_and_the_card_are_artifacts(kept, stored_model, mlflow, tmp_path):
    found = Path(mlflow.artifacts.download_artifacts(run_id=kept.info.run_id, dst_path=str(tmp_path / "found")))
    assert {name: (found / "report" / name).read_bytes() for name in REPORT} == REPORT
    assert (found / "card.json").read_text(encoding="utf-8") == stored_model.card.model_dump_json(indent=1)


def test_the_model_is_registered_and_predicts_as_the_stored_one(kept, stored_model, mlflow, real):
    (version,) = mlflow.MlflowClient().search_model_versions("name='drug_consumption'")
    assert version.run_id == kept.info.run_id
    assert version.tags == {"bento_model": stored_model.tag, "data_source": "uci"}
    model = mlflow.pyfunc.load_model("models:/drug_consumption/1")
    assert np.allclose(model.predict(real.X), stored_model.predictor.predict_proba(real.X), atol=1e-9)


def test_nothing_is_pickled_and_no_respondent_is_in_it(kept, folder, records_in, mlflow):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"mlflow.db", "MLmodel", "model.skops", "card.json", "index.html", "input_example.json"} <= {
        path.name for path in files
    }
    for path in files:
        assert path.suffix not in {".pkl", ".pickle", ".joblib", ".csv", ".parquet"}
        assert not path.read_bytes().startswith(b"\x80")
        assert records_in(path.read_bytes()) == [], path
    (example,) = (json.loads(path.read_text()) for path in files if path.name == "input_example.json")
    assert example == [Profile.model_validate(EXAMPLE).row()]


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


def start(code, folder=ROOT):
    """Run code as users do, who are not a test and not CI, of which MLflow never reports."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTEST_", "CI", "GITHUB_", "GITLAB_"))}
    mine["PYTHONPATH"] = str(ROOT)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=mine, **pipes)


def finish(*processes):
    """Return the output of each process."""
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return [output.strip() for output, _ in said]


def test_mlflow_reports_to_nobody(mlflow):
    code = "import mlflow; from mlflow.telemetry import get_telemetry_client as c; print(c() is None)"
    assert finish(start(f"from drugpred.training import tracking; tracking._import(); {code}")) == ["True"]


def test_mlflow_is_imported_for_tracking_only():
    assert finish(start("import sys, drugpred.training.tracking; print('mlflow' in sys.modules)")) == ["False"]


def test_several_at_once_make_one_store(mlflow, tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    code = f"""
from pathlib import Path
from drugpred.training import configuration, tracking
with tracking.tracked_run(configuration.read(Path({str(ROOT / "tests" / "quick.yaml")!r}))):
    pass
"""
    finish(*(start(code, folder) for _ in range(3)))
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("drug_consumption").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
