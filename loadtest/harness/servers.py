"""Servers to measure, each started in a process of its own on loopback and ended with all its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import httpx
import psutil

from drugpred import model_store
from drugpred.errors import StoredModelError
from drugpred.settings import Settings
from loadtest.harness.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import bentoml

    from loadtest.resilience.cgroup import Group

ROOT: Final = Path(__file__).parents[2]

_TIMEOUT: Final = 60  # seconds until a server must answer
_INTERVAL: Final = 0.02  # seconds between two attempts


class ServerError(Exception):
    """A server does not answer; the message ends with the last line of its log."""


@dataclass
class Server:
    """A server that was started."""

    process: subprocess.Popen[bytes]
    home: Path
    """Its BENTOML_HOME."""

    @property
    def log(self) -> Path:
        """The file of its stdout and stderr."""
        return self.home / "log"

    def answer(self, url: str, body: object = None) -> httpx.Response:
        """Return its first successful answer, to a body that is POSTed as JSON or else to a GET.

        Raises
        ------
        ServerError
            It ends, or does not answer within a minute. The end of its log is printed.
        """
        method = "GET" if body is None else "POST"
        deadline = time.monotonic() + _TIMEOUT
        with httpx.Client(timeout=_TIMEOUT) as client:
            while self.process.poll() is None and time.monotonic() < deadline:
                try:
                    return client.request(method, url, json=body).raise_for_status()
                except httpx.HTTPError:
                    time.sleep(_INTERVAL)
        log = self.log.read_text(encoding="utf-8", errors="replace").strip()
        print(log[-4000:], file=sys.stderr)
        raise ServerError(f"no answer from {url}: {log.splitlines()[-1].strip() if log else 'its log is empty'}")

    def family(self) -> list[psutil.Process]:
        """Return all its descendants."""
        return psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []

    def workers(self) -> list[psutil.Process]:
        """Return those of its processes that answer requests."""
        return [process for process in self.family() if is_worker(process)]


@dataclass
class Service(Server):
    """The service of this checkout, ready to answer."""

    port: int
    grpc_port: int

    @property
    def url(self) -> str:
        """Where its HTTP is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Where its gRPC is."""
        return f"127.0.0.1:{self.grpc_port}"


def is_worker(process: psutil.Process) -> bool:
    """Return whether a process is a worker of BentoML."""
    with suppress(psutil.Error):  # one that has just ended
        return "_bentoml_impl.worker.service" in process.cmdline()  # nothing public says what a process is
    return False


def newest_model() -> bentoml.Model:
    """Return the stored model that the service would serve.

    Raises
    ------
    StoredModelError
        There is none.
    """
    return model_store.resolve(Settings().model)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the program with one line if there is no stored model or a server does not start."""
    try:
        yield
    except (StoredModelError, ServerError) as error:
        raise SystemExit(f"error: {error}") from error


def bentoml_serve(service: str, port: int, python: str = sys.executable) -> list[str]:
    """Return the command that serves a BentoML service of this checkout."""
    return [python, "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]


@contextmanager
def run(command: Sequence[str], model: bentoml.Model, **environment: str) -> Iterator[Server]:
    """Run a server of a stored model in this checkout, and end it with all its processes."""
    # A home of its own, because each BentoML server empties the folder of metrics in it.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        (home / "models").symlink_to(Path(model.path).parents[1])
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                cwd=ROOT,
                env=os.environ
                | {
                    "BENTOML_HOME": folder,
                    "BENTOML_DO_NOT_TRACK": "True",
                    "DRUGPRED_MODEL": str(model.tag),
                    "DRUGPRED_GRPC_PORT": "0",
                    "OMP_NUM_THREADS": "1",  # one thread of BLAS for each, as the service gives its workers
                    "PYTHONPATH": str(ROOT),
                    "STORED_MODEL": str(model.path),
                }
                | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        server = Server(process, home)
        try:
            yield server
        finally:
            family = server.family()  # not every server ends its own
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()
                left = psutil.wait_procs(family, timeout=1)[1]
                for descendant in left:
                    descendant.kill()
                psutil.wait_procs(left, timeout=5)


@contextmanager
def serve(model: bentoml.Model, workers: int = 1, group: Group | None = None, **settings: str) -> Iterator[Service]:
    """Serve a stored model with this checkout, maybe within a control group, and wait until it is ready.

    Raises
    ------
    ServerError
        It does not start.
    """
    port, grpc_port = free_ports(2)
    command = bentoml_serve(".", port)
    settings |= {"DRUGPRED_GRPC_PORT": str(grpc_port), "BENTOML_CONFIG_OPTIONS": f"services.drugpred.workers={workers}"}
    with run(group.command(command) if group else command, model, **settings) as server:
        service = Service(server.process, server.home, port, grpc_port)
        service.answer(f"{service.url}/readyz")
        yield service
