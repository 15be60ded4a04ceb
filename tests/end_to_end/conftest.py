"""Real servers: `bentoml serve` in a process of its own on free loopback ports."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import psutil
import pytest

from drugpred.codebook import describe
from tests.conftest import skip
from tests.containers import image, image_home, podman  # noqa: F401 - fixtures, made once for all

ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """A running `bentoml serve`."""

    url: str
    grpc: str
    """The address and port of gRPC."""
    process: subprocess.Popen
    temporary: Path
    """Its temporary files, and what it writes to stdout and stderr as log."""

    @property
    def output(self) -> str:
        return (self.temporary / "log").read_text(encoding="utf-8")

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "_bentoml_impl.worker.service" in child.cmdline()]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60)

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


def free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(n)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@pytest.fixture(scope="session")
def launch(tmp_path_factory):
    """Return what starts a server of the checkout or of a bento, with the given BENTOML_HOME, and does not wait."""

    def start(home: Path, bento: str = ".", folder: Path = ROOT, **environment: str) -> Server:
        port, grpc_port = free_ports(2)
        temporary = tmp_path_factory.mktemp("server")
        with (temporary / "log").open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "bentoml", "serve", bento, "--host", "127.0.0.1", "--port", str(port)],
                cwd=folder,
                env=os.environ
                | {"BENTOML_HOME": str(home), "TMPDIR": str(temporary), "DRUGPRED_GRPC_PORT": str(grpc_port)}
                | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Server(f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}", process, temporary)

    return start


@pytest.fixture(scope="session")
def serve(launch):
    """Return a context manager of a server that answers; at its end SIGTERM must end all of it without an error."""

    @contextmanager
    def serving(*args, **kwargs) -> Iterator[Server]:
        server = launch(*args, **kwargs)
        try:
            wait_until_ready(server)
            yield server
        finally:
            ended = server.stop()
        assert ended == (0, []), server.output

    return serving


def wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if httpx.get(f"{server.url}/readyz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the server is not ready:\n{server.output}")


@pytest.fixture
def copied_store(store, tmp_path) -> Path:
    """The store, for a test to alter."""
    return copy_of(store, tmp_path / "bentoml")


def copy_of(store: Path, folder: Path) -> Path:
    """Copy a store without what servers that ran on it have left."""
    return shutil.copytree(store, folder, ignore=shutil.ignore_patterns("prometheus_multiproc_dir", "feedback"))


@pytest.fixture(scope="session")
def server(serve, store):
    """The checkout, served as a newcomer does after training."""
    with serve(store) as server:
        yield server


@pytest.fixture(scope="session")
def client(server):
    with server.client() as client:
        yield client


@pytest.fixture(scope="session")
def people(real) -> list[dict[str, object]]:
    """The 1885 respondents as a caller would write them."""
    return [describe(row) for row in real.X.tolist()]


@pytest.fixture(scope="session")
def expected(stored_model, real):
    """What the predictor says of them, shape (1885, 18, 6)."""
    return stored_model.predictor.predict_proba(real.X)


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> Callable[[str], Path]:
    """Return what makes an environment with one package and returns its `bin` folder.

    Clients of others have versions of gRPC and protobuf of their own.
    """

    @cache
    def make(requirement: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        python = folder / "bin" / "python"
        for command in (
            ["venv", "--python", sys.executable, folder],
            ["pip", "install", "--python", python, requirement],
        ):
            done = subprocess.run(
                [sys.executable, "-m", "uv", *map(str, command)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                skip(f"{requirement} cannot be installed: {done.stderr.strip()}")
        return python.parent

    return make


@pytest.fixture(scope="session")
def triton(environment) -> Path:
    """The Python of an environment with the Triton client."""
    return environment("tritonclient[grpc,http]==2.73.0") / "python"
