"""Real servers: `bentoml serve` in a process of its own on free loopback ports."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample

from loadtest.harness.servers import is_worker
from tests.harness import PLAIN, ROOT, answers, wait
from tests.harness.ports import free_ports


@dataclass
class Server:
    """A running `bentoml serve`."""

    url: str
    grpc: str
    """The address and port of gRPC."""
    process: subprocess.Popen
    temporary: Path
    """Its temporary files, and its stdout and stderr as log."""

    @property
    def output(self) -> str:
        return (self.temporary / "log").read_text(encoding="utf-8")

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if is_worker(child)]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, verify=PLAIN)

    def wait_until_ready(self) -> None:
        wait(lambda: self.process.poll() is not None or answers(f"{self.url}/readyz"), lambda: self.output)
        assert self.process.poll() is None, self.output

    def stop(self) -> tuple[int, list[psutil.Process]]:
        """End it as an operator does; return its exit code and those of its processes that had to be killed."""
        family = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        self.process.terminate()
        try:
            exit_code = self.process.wait(30)
        finally:
            self.process.kill()
            left = psutil.wait_procs(family, timeout=5)[1]
            for process in left:
                process.kill()
        return exit_code, left


def metrics_folder(home: Path) -> Path:
    """Return the folder in which the only server that was started in a BENTOML_HOME counts."""
    (folder,) = (each for each in home.glob("prometheus_multiproc_dir*") if any(each.iterdir()))
    return folder


def left_by(home: Path) -> list[Sample]:
    """Return the samples that the workers of that server had counted when they ended."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(metrics_folder(home)))
    return [sample for family in registry.collect() for sample in family.samples]


@pytest.fixture(scope="session")
def service_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """What every server is started with: nothing, or what a test is parametrized by."""
    return getattr(request, "param", None) or {}


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory, service_settings: dict[str, str]) -> Callable[..., Server]:
    """Return a function that starts a server of the checkout or of a bento with a BENTOML_HOME, and does not wait."""

    def start(
        home: Path,
        bento: str = ".",
        folder: Path = ROOT,
        ports: tuple[int, int] | None = None,
        **environment: str,
    ) -> Server:
        port, grpc_port = ports or free_ports(2)
        temporary = tmp_path_factory.mktemp("server")
        with (temporary / "log").open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "bentoml", "serve", bento, "--host", "127.0.0.1", "--port", str(port)],
                cwd=folder,
                env=os.environ
                | {"BENTOML_HOME": str(home), "TMPDIR": str(temporary), "DRUGPRED_GRPC_PORT": str(grpc_port)}
                | service_settings
                | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Server(f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}", process, temporary)

    return start


@pytest.fixture(scope="session")
def serve(launch: Callable[..., Server]) -> Callable[..., AbstractContextManager[Server]]:
    """Return a context manager of a server that answers; at its end SIGTERM must end all of it without an error."""

    @contextmanager
    def serving(*args, **kwargs) -> Iterator[Server]:
        server = launch(*args, **kwargs)
        try:
            server.wait_until_ready()
            yield server
        finally:
            ended = server.stop()
        assert ended == (0, []), server.output

    return serving


@pytest.fixture(scope="session")
def server(serve: Callable[..., AbstractContextManager[Server]], store: Path) -> Iterator[Server]:
    """The checkout, served as a newcomer does after training."""
    with serve(store) as server:
        yield server
