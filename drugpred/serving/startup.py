"""Checks, settings and log lines before the first worker of `bentoml serve` starts."""

from __future__ import annotations

import logging
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drugpred import __version__, model_store
from drugpred.errors import ConfigurationError, DrugpredError
from drugpred.monitoring.feedback.dedup import SqliteTokenStore, token_store
from drugpred.monitoring.feedback.prediction_id import PredictionIdSigner, new_key
from drugpred.scoring import load_models
from drugpred.serving import patches, ports, request_ids
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.grpc import binding
from drugpred.serving.ports import address
from drugpred.settings import Settings, make_paths_absolute

if TYPE_CHECKING:
    import socket

    from drugpred.serving.access.api_keys import ReloadingApiKeys
    from drugpred.serving.patches.circus_arbiter import ServingAddress

logger = logging.getLogger("bentoml.drugpred")  # BentoML shows its lines, unless --quiet

_LOCALHOST: Final = {"0.0.0.0": "localhost", "::": "localhost"}  # noqa: S104  # nosec B104 - for browsers

_OPEN_FILES: Final = 2048  # 1000 HTTP connections, 1000 of gRPC, and the files of a worker


class Startup:
    """The start of a server: `check` in the folder of the command, then `listen`."""

    def __init__(self) -> None:
        model_store.disable_telemetry()

    def check(self) -> None:
        """Check all that a worker needs, and set the environment variables that workers share.

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
        model, challenger = load_models(settings)
        binding.check(settings)
        keys = AccessPolicy.from_settings(settings).keys
        _check_store(settings, home)
        if settings.feedback_key is not None:
            PredictionIdSigner.of(settings.feedback_key.get_secret_value(), model)
        else:
            os.environ["DRUGPRED_FEEDBACK_KEY"] = new_key()  # one for all workers
        # BLAS threads busy-wait for each other, at ten times the cost of a single thread.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        # With an arena for each thread malloc keeps the memory of large bodies: a worker grew by 38 MB an hour.
        os.environ.setdefault("MALLOC_ARENA_MAX", "1")
        # Blocks of 256 kB and more go back to the system: 64 streams took 482 MB, now 407.
        os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(256 * 1024))
        # With the threshold above, malloc would give the end of the heap back at each flush of the counters, and the
        # kernel fill it with zeros again: two thirds of their time.
        os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1024 * 1024))
        # A span has the request's id.
        os.environ.setdefault("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE", request_ids.NAME)
        raise_file_limit()
        logger.info(
            "drugpred %s serves %s, trained on %s respondents",
            __version__,
            model.tag,
            "SIMULATED" if model.card.data.source == "simulated" else "the real",
        )
        if challenger:
            logger.info("compared with its challenger %s", challenger.tag)
        _log_access(keys, settings.rate_limit or "none")
        if arbiter := patches.applied("circus_arbiter"):
            arbiter.Supervisor.before_start(self.listen)

    def listen(self, place: ServingAddress) -> dict[str, str]:
        """Check the addresses, reserve the gRPC port, log both, and return environment variables for workers.

        Raises
        ------
        ConfigurationError
            An address is in use, or a certificate does not match.
        """
        if place.tls:
            binding.check_files(place.tls, "HTTP")
        ports.probe(place.host, place.port, "choose another with --port")
        self._grpc = ports.reserve(
            place.host, self._settings.grpc_port, "set DRUGPRED_GRPC_PORT to another port for gRPC"
        )
        self._log_addresses(place, self._grpc)
        return {"BENTOML_HOST": place.host, "DRUGPRED_GRPC_PORT": str(self._grpc.getsockname()[1])}

    def _log_addresses(self, place: ServingAddress, grpc: socket.socket) -> None:
        url = f"http{'s' * bool(place.tls)}://{address(_LOCALHOST.get(place.host, place.host), place.port)}"
        logger.info(
            "HTTP on %s, gRPC on %s%s; workers: %d",
            address(place.host, place.port),
            address(place.host, grpc.getsockname()[1]),
            " with TLS" if self._settings.grpc_certificate else "",
            place.workers,
        )
        logger.info("page: %s/app, documentation: %s/", url, url)


def _log_access(keys: ReloadingApiKeys, limit: str) -> None:
    if keys.enabled:
        logger.info("API keys: %d; rate limit: %s", len(keys), limit)
    else:
        logger.warning(
            "no API keys are set (DRUGPRED_API_KEYS_FILE): every caller is accepted; rate limit: %s",
            limit,
        )


def _check_store(settings: Settings, home: Path) -> None:
    """Check the folder of used feedback; if the default one is not writable, disable feedback."""
    seen = token_store(settings, home)
    if not isinstance(seen, SqliteTokenStore):
        return
    try:
        seen.check()
    except ConfigurationError as error:
        if settings.feedback_folder is not None:
            raise ConfigurationError(f"DRUGPRED_FEEDBACK_FOLDER: {error}") from None
        logger.warning("feedback is not accepted: %s; set DRUGPRED_FEEDBACK_FOLDER to another folder", error)


def raise_file_limit() -> None:
    """Raise the soft limit of open files of this process and its workers, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES:
        return
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < _OPEN_FILES:
        logger.warning("expected a limit of %d open files (ulimit -n), found %d: connections wait", _OPEN_FILES, most)
