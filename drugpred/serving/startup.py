"""What is checked, settled and logged before the first worker of `bentoml serve` starts."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drugpred import __version__, model_store
from drugpred.errors import ConfigurationError, DrugpredError
from drugpred.monitoring.feedback.dedup import SqliteTokenStore, token_store
from drugpred.monitoring.feedback.prediction_id import PredictionIdSigner, new_key
from drugpred.serving import handles, ports
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.grpc import binding
from drugpred.serving.patches import prometheus_files
from drugpred.serving.ports import address
from drugpred.settings import Settings, make_paths_absolute

if TYPE_CHECKING:
    import socket

    from drugpred.serving.patches.circus_arbiter import ServingAddress

__all__ = ["Startup"]

logger = logging.getLogger("bentoml.drugpred")  # whose lines BentoML shows, unless --quiet

_LOCALHOST: Final = {"0.0.0.0": "localhost", "::": "localhost"}  # noqa: S104  # nosec B104 - as a browser calls them


class Startup:
    """The start of a server: `check` in the folder where the command was started, then `listen`."""

    def __init__(self) -> None:
        model_store.disable_telemetry()

    def check(self) -> None:
        """Check all that a worker needs, and give workers what they share by the environment.

        Raises
        ------
        SystemExit
            A worker could not start.
        """
        try:
            self._check()
        except DrugpredError as error:
            raise SystemExit(f"error: {error}") from None

    def _check(self) -> None:
        make_paths_absolute(Settings())
        home = model_store.home().absolute()
        os.environ["BENTOML_HOME"] = str(home)
        if configured := os.environ.get("BENTOML_CONFIG"):
            os.environ["BENTOML_CONFIG"] = str(Path(configured).absolute())
        self._settings = settings = Settings()
        self._bundle = model_store.load(settings.model)
        binding.check(settings)
        self._admission = AccessPolicy.from_settings(settings)
        _check_store(settings, home)
        if settings.feedback_key is not None:
            PredictionIdSigner.of(settings.feedback_key.get_secret_value(), self._bundle)
        else:
            os.environ["DRUGPRED_FEEDBACK_KEY"] = new_key()  # one for all workers
        # Threads of BLAS wait for each other in a busy loop, at ten times the cost of one alone.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        # An arena of malloc for each thread keeps what large bodies leave behind: a worker grew by 38 MB an hour.
        os.environ.setdefault("MALLOC_ARENA_MAX", "1")
        # Messages of 256 kB and more go back to the system, and leave no gaps: 64 streams took 482 MB, now 407.
        os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(256 * 1024))

    def listen(self, place: ServingAddress) -> dict[str, str]:
        """Check where to serve, keep the port of gRPC, log what is served, and return variables for workers.

        Raises
        ------
        ConfigurationError
            An address is taken, a certificate does not fit, or there is no room for metrics.
        """
        if place.tls:
            binding.check_files(place.tls, "HTTP")
        ports.probe(place.host, place.port, "choose another one with --port")
        self._grpc = ports.reserve(
            place.host, self._settings.grpc_port, "set DRUGPRED_GRPC_PORT to another one for gRPC"
        )
        prometheus_files.make(place.metrics, range(1, place.workers + 1))
        handles.raise_limit()
        self._log(place, self._grpc)
        return {"BENTOML_HOST": place.host, "DRUGPRED_GRPC_PORT": str(self._grpc.getsockname()[1])}

    def _log(self, place: ServingAddress, grpc: socket.socket) -> None:
        settings = self._settings
        simulated = self._bundle.card.data.source == "simulated"
        url = f"http{'s' * bool(place.tls)}://{address(_LOCALHOST.get(place.host, place.host), place.port)}"
        logger.info(
            "drugpred %s serves %s, trained on %s respondents",
            __version__,
            self._bundle.tag,
            "SIMULATED" if simulated else "the real",
        )
        logger.info(
            "HTTP on %s, gRPC on %s%s; workers: %d",
            address(place.host, place.port),
            address(place.host, grpc.getsockname()[1]),
            " by TLS" if settings.grpc_certificate else "",
            place.workers,
        )
        logger.info("the page is %s/app, the documentation %s/", url, url)
        keys = self._admission.keys
        limit = settings.rate_limit or "none"
        if keys.enabled:
            logger.info("API keys: %d; rate limit: %s", len(keys), limit)
        else:
            logger.warning(
                "no API keys are set (DRUGPRED_API_KEYS_FILE): everybody who reaches this server is let in; rate "
                "limit: %s",
                limit,
            )


def _check_store(settings: Settings, home: Path) -> None:
    """Check where used feedback is remembered; below a home that cannot be written nothing is, and all else works."""
    seen = token_store(settings, home)
    if not isinstance(seen, SqliteTokenStore):
        return
    try:
        seen.check()
    except ConfigurationError as error:
        if settings.feedback_folder is not None:
            raise ConfigurationError(f"DRUGPRED_FEEDBACK_FOLDER: {error}") from None
        logger.warning("feedback is not taken: %s; DRUGPRED_FEEDBACK_FOLDER may be another folder", error)
