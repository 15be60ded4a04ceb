"""Logs a training run in MLflow: `train.py --track`.

By default runs are stored in ``mlflow.db`` and ``mlruns/`` in the current folder, where ``mlflow ui`` shows them.
MLflow's own variables (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and so on) select another place. Nothing else
imports MLflow.
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from filelock import FileLock

from drugpred import codebook
from drugpred.errors import ConfigurationError, DrugpredError, needs, reason
from drugpred.model_store import NAME
from drugpred.schemas import EXAMPLE
from drugpred.training.tables import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from mlflow.models import ModelSignature

    from drugpred.model_store import Card, StoredModel
    from drugpred.training.configuration import Configuration

_URL_USER: Final = re.compile(r"//[^/@\s]*@")

_DRIVERS: Final = {"MySQLdb": "mysqlclient", "psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary"}
"""Packages whose name differs from that of the module they provide."""

_REQUIREMENTS: Final = ("narwhals", "numpy", "pandas", "pydantic", "pyyaml")
"""Packages that the logged model needs besides this one."""

_DEFAULTS: Final = {
    # MLflow sends usage telemetry unless this is set before it is imported.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # By default it retries an unreachable server for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


@dataclass(frozen=True)
class TrackedRun:
    """An MLflow run, by its id."""

    id: str

    def log_evaluation(self, card: Card) -> None:
        """Log the card, its data and versions as parameters, and its headline figures as metrics."""
        mlflow = _import()
        with _translate_errors():
            mlflow.log_params(dict(flatten(card.model_dump(include={"data", "versions", "git_commit"}))))
            mlflow.log_metrics(dict(card.overall))
            mlflow.log_text(card.model_dump_json(indent=1), "card.json")

    def log_model(self, stored: StoredModel) -> None:
        """Log the report and the stored model, and register the model with its tag in BentoML's store.

        MLflow's model takes DataFrames with the labels of a profile. Its input example is an invented person, never a
        respondent. Loading it requires this package.
        """
        mlflow = _import()
        import pandas as pd

        with _translate_errors():
            mlflow.log_artifact(str(stored.path / "card.json"))  # which now says how its intervals were made
            mlflow.log_artifacts(str(stored.path / "report"), "report")
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("mlflow_model.py")),  # nothing is pickled
                artifacts={"model": str(stored.path)},
                input_example=pd.DataFrame([EXAMPLE]),
                signature=_signature(),
                # Otherwise MLflow loads the model in another process to infer them.
                pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
                registered_model_name=NAME,
                tags={"bento_model": stored.tag, "data_source": stored.card.data.source},
            )
            mlflow.set_tag("bento_model", stored.tag)


def _signature() -> ModelSignature:
    """Return the signature of MLflow's model; an age has any type, as it is years or a label."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, ParamSchema, ParamSpec, Schema

    age, *categories = (category.name for category in codebook.CATEGORIES)
    return ModelSignature(
        inputs=Schema(
            [
                ColSpec(AnyType(), age),
                *(ColSpec("string", name) for name in categories),
                *(ColSpec("double", score.name) for score in codebook.SCORES),
            ]
        ),
        outputs=Schema([ColSpec("double", drug) for drug in codebook.DRUGS]),
        params=ParamSchema([ParamSpec("window", "string", "decade"), ParamSpec("scale", "string", "standardized")]),
    )


@contextmanager
def tracked_run(configuration: Configuration) -> Iterator[TrackedRun]:
    """Return a context manager of an MLflow run, which is marked as failed if the body raises.

    The tag ``error`` then has the message of a `DrugpredError`, or the type of another error.

    Raises
    ------
    MissingPackageError
        MLflow is not installed.
    ConfigurationError
        MLflow cannot store the run.
    """
    mlflow = _import()
    with _translate_errors(), _sqlite_lock(mlflow.get_tracking_uri()):
        experiment = None
        if "MLFLOW_EXPERIMENT_ID" not in os.environ:
            experiment = mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or NAME).experiment_id
        run = mlflow.start_run(experiment_id=experiment)
    try:
        with _translate_errors():
            mlflow.log_params(dict(flatten(configuration.model_dump())))
            # Fails early if files cannot be stored.
            mlflow.log_dict(configuration.model_dump(mode="json"), "configuration.json")
        yield TrackedRun(run.info.run_id)
    except BaseException as error:
        # A failure to mark the run must not hide the error.
        with suppress(ConfigurationError), _translate_errors():
            mlflow.set_tag("error", str(error) if isinstance(error, DrugpredError) else type(error).__name__)
            mlflow.end_run("FAILED")
        raise
    with _translate_errors():
        mlflow.end_run()


def _import() -> ModuleType:
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    with needs("train,track"):
        import mlflow
    return mlflow


def _sqlite_lock(uri: str) -> AbstractContextManager[object]:
    """Return a lock for an SQLite store: two processes that create it at once break it."""
    _, is_local, path = unquote(uri).partition("sqlite:///")
    return FileLock(f"{path}.lock") if is_local else nullcontext()


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Raise errors of MLflow and its store as `ConfigurationError`, in one line and without a password."""
    try:
        yield
    except ModuleNotFoundError as error:  # the driver of a database, or of a cloud's storage
        package = str(error.name).replace(".", "-")
        needed = f"pip install {_DRIVERS.get(package, package)}"
        raise ConfigurationError(f"MLflow: the store needs the package {error.name}: {needed}") from error
    except Exception as error:
        raise ConfigurationError(f"MLflow: {_URL_USER.sub('//', reason(error))}") from error
