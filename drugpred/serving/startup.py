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
from drugpred.serving import patches, ports
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.grpc import binding
from drugpred.serving.ports import address
from drugpred.settings import Settings, make_paths_absolute

if TYPE_CHECKING:
    import socket

    from drugpred.serving.access.api_keys import ReloadingApiKeys
    from drugpred.serving.patches.circus_arbiter import ServingAddress

logger = logging.getLogger("bentoml.drugpred")  # whose lines BentoML shows, unless --quiet

_LOCALHOST: Final = {"0.0.0.0": "localhost", "::": "localhost"}  # noqa: S104  # nosec B104 - as a browser calls them

_OPEN_FILES: Final = 2048  # for 1000 connections of HTTP, as many of gRPC, and what a worker opens itself


class Startup:
    """The start of a server: `check` in the folder where the command was started, then `listen`."""

    def __init__(self) -> None:
        model_store.disable_telemetry()

    def check(self) -> None:
        """Check all that a worker needs, and set what workers share in the environment.

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
        model = model_store.load(settings.model)
        binding.check(settings)
        keys = AccessPolicy.from_settings(settings).keys
        _check_store(settings, home)
        if settings.feedback_key is not None:
            PredictionIdSigner.of(settings.feedback_key.get_secret_value(), model)
        else:
            os.environ["DRUGPRED_FEEDBACK_KEY"] = new_key()  # one for all workers
        # Threads of BLAS wait for each other in a busy loop, at ten times the cost of one alone.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        # An arena of malloc for each thread keeps what large bodies leave behind: a worker grew by 38 MB an hour.
        os.environ.setdefault("MALLOC_ARENA_MAX", "1")
        # Messages of 256 kB and more go back to the system, and leave no gaps: 64 streams took 482 MB, now 407.
        os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(256 * 1024))
        raise_file_limit()
        logger.info(
            "drugpred %s serves %s, trained on %s respondents",
            __version__,
            model.tag,
            "SIMULATED" if model.card.data.source == "simulated" else "the real",
        )
        _log_access(keys, settings.rate_limit or "none")
        if arbiter := patches.applied("circus_arbiter"):
            arbiter.Supervisor.before_start(self.listen)

    def listen(self, place: ServingAddress) -> dict[str, str]:
        """Check where to serve, reserve the port of gRPC, log both, and return environment variables for workers.

        Raises
        ------
        ConfigurationError
            An address is taken, or a certificate does not fit.
        """
        if place.tls:
            binding.check_files(place.tls, "HTTP")
        ports.probe(place.host, place.port, "choose another one with --port")
        self._grpc = ports.reserve(
            place.host, self._settings.grpc_port, "set DRUGPRED_GRPC_PORT to another one for gRPC"
        )
        self._log_addresses(place, self._grpc)
        return {"BENTOML_HOST": place.host, "DRUGPRED_GRPC_PORT": str(self._grpc.getsockname()[1])}

    def _log_addresses(self, place: ServingAddress, grpc: socket.socket) -> None:
        url = f"http{'s' * bool(place.tls)}://{address(_LOCALHOST.get(place.host, place.host), place.port)}"
        logger.info(
            "HTTP on %s, gRPC on %s%s; workers: %d",
            address(place.host, place.port),
            address(place.host, grpc.getsockname()[1]),
            " by TLS" if self._settings.grpc_certificate else "",
            place.workers,
        )
        logger.info("the page is %s/app, the documentation %s/", url, url)


def _log_access(keys: ReloadingApiKeys, limit: str) -> None:
    if keys.enabled:
        logger.info("API keys: %d; rate limit: %s", len(keys), limit)
    else:
        logger.warning(
            "no API keys are set (DRUGPRED_API_KEYS_FILE): everybody who reaches this server is let in; rate limit: %s",
            limit,
        )


def _check_store(settings: Settings, home: Path) -> None:
    """Check where used feedback is remembered; below a home that cannot be written, take none."""
    seen = token_store(settings, home)
    if not isinstance(seen, SqliteTokenStore):
        return
    try:
        seen.check()
    except ConfigurationError as error:
        if settings.feedback_folder is not None:
            raise ConfigurationError(f"DRUGPRED_FEEDBACK_FOLDER: {error}") from None
        logger.warning("feedback is not taken: %s; DRUGPRED_FEEDBACK_FOLDER may be another folder", error)


def raise_file_limit() -> None:
    """Let this process, and workers that it starts, open the files they need, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES:
        return
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < _OPEN_FILES:
        logger.warning("expected a limit of %d open files (ulimit -n), found %d: connections wait", _OPEN_FILES, most)
