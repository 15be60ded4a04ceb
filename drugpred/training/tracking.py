"""Keep a training run in MLflow: `train.py --track`.

Without settings that is in ``mlflow.db`` and ``mlruns/`` of the current folder, which ``mlflow ui`` shows there. Its
own variables (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and so on) name another place. Nothing else imports MLflow.
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import numpy as np
from filelock import FileLock

from drugpred.errors import ConfigurationError, DrugpredError, needs, reason
from drugpred.model_store import NAME
from drugpred.schemas import EXAMPLE, Profile
from drugpred.training.estimators import TRUSTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    from sklearn.pipeline import Pipeline

    from drugpred.model_store import Card
    from drugpred.training.configuration import Configuration

__all__ = ["Run", "tracked"]

_USER_OF_URL: Final = re.compile(r"//[^/@\s]*@")

_DRIVERS: Final = {"MySQLdb": "mysqlclient", "psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary"}
"""Packages that are not named as what is imported of them."""

_DEFAULTS: Final = {
    # MLflow reports to its makers how it is used, unless it is told not to before it is imported.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Else an absent server is tried for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


@dataclass(frozen=True)
class Run:
    """A run that MLflow keeps.

    Attributes
    ----------
    id : str
        MLflow's.
    """

    id: str

    def evaluated(self, card: Card) -> None:
        """Log the card, what decided it as parameters, and its figures as metrics.

        Headline figures have the names they have in the card, others those of drug and window before theirs.
        """
        mlflow = _import()
        of_run = card.model_dump(include={"data", "versions", "git_commit"})
        with _clear_errors():
            mlflow.log_params(dict(_flat(of_run)))
            mlflow.log_metrics(dict(_metrics(card)))
            mlflow.log_text(card.model_dump_json(indent=1), "card.json")

    def stored(self, tag: str, pipeline: Pipeline, card: Card, report: Mapping[str, bytes]) -> None:
        """Log the report and the fitted pipeline, and register it as what is stored by this tag.

        The pipeline comes with an invented example, never with a respondent. To read it needs this package.
        """
        mlflow = _import()
        example = np.array([Profile.model_validate(EXAMPLE).row()])
        with _clear_errors(), TemporaryDirectory() as folder:
            for name, content in report.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            mlflow.log_artifacts(folder, "report")
            mlflow.sklearn.log_model(
                pipeline,
                name="model",
                serialization_format="skops",
                skops_trusted_types=TRUSTED,
                pyfunc_predict_fn="predict_proba",
                input_example=example,
                signature=mlflow.models.infer_signature(example, pipeline.predict_proba(example)),
                # Otherwise MLflow loads the model in another process to find them out.
                pip_requirements=[f"{name}=={version}" for name, version in card.versions.items() if name != "python"],
                registered_model_name=NAME,
                tags={"bento_model": tag, "data_source": card.data.source},
            )
            mlflow.set_tag("bento_model", tag)


@contextmanager
def tracked(configuration: Configuration) -> Iterator[Run]:
    """Return a context manager of a run in MLflow, which is marked as failed where the body raises.

    Its tag ``error`` then says why, in the words of the error where it is one of the project's.

    Raises
    ------
    MissingPackageError
        MLflow is not installed.
    ConfigurationError
        It does not take the run.
    """
    mlflow = _import()
    with _clear_errors(), _alone_with(mlflow.get_tracking_uri()):
        experiment = None
        if "MLFLOW_EXPERIMENT_ID" not in os.environ:
            experiment = mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or NAME).experiment_id
        run = mlflow.start_run(experiment_id=experiment)
        mlflow.log_params(dict(_flat(configuration.model_dump())))
        mlflow.log_dict(configuration.model_dump(mode="json"), "configuration.json")  # fails now where files cannot go
    try:
        yield Run(run.info.run_id)
    except BaseException as error:
        # That it cannot be marked must not hide why.
        with suppress(ConfigurationError), _clear_errors():
            mlflow.set_tag("error", str(error) if isinstance(error, DrugpredError) else type(error).__name__)
            mlflow.end_run("FAILED")
        raise
    with _clear_errors():
        mlflow.end_run()


def _import() -> ModuleType:
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    with needs("train,track"):
        import mlflow
    return mlflow


def _alone_with(uri: str) -> AbstractContextManager[object]:
    """Wait for whoever makes a store of SQLite: two who find none at once break it for both."""
    _, is_local, path = unquote(uri).partition("sqlite:///")
    return FileLock(f"{path}.lock") if is_local else nullcontext()


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Raise what MLflow and its store raise as an error of the project's, in a line and without a password."""
    try:
        yield
    except ModuleNotFoundError as error:  # the driver of a database, or of a cloud's storage
        package = str(error.name).replace(".", "-")
        needed = f"pip install {_DRIVERS.get(package, package)}"
        raise ConfigurationError(f"MLflow: the store needs the package {error.name}: {needed}") from error
    except Exception as error:
        raise ConfigurationError(f"MLflow: {_USER_OF_URL.sub('//', reason(error))}") from error


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _metrics(card: Card) -> Iterator[tuple[str, float]]:
    yield from card.overall.items()
    for name, (low, high) in card.overall_intervals.items():
        yield f"{name}_low", low
        yield f"{name}_high", high
    for name, value in (card.reference_split or {}).items():
        yield f"reference_split_{name}", value
    for drug, windows in card.drugs.items():
        yield f"{drug}/ranked_probability_score", card.ranked_probability_scores[drug]
        for window, figures in windows.items():
            for name, figure in figures:
                if isinstance(figure, float):
                    yield f"{drug}/{window}/{name}", figure
