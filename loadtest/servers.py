"""Servers to measure, each started in a process of its own on loopback and ended with all its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final

import httpx
import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

    import bentoml

__all__ = ["HERE", "ROOT", "Server", "ServerError", "ours", "serving"]

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent

_PATIENCE: Final = 60
"""Seconds until a server must answer."""

_WORKER: Final = "_bentoml_impl.worker.service"
"""What a worker of BentoML runs."""


class ServerError(Exception):
    """A server does not answer; the message ends with the last line of its log."""


@dataclass
class Server:
    """A server that was started."""

    process: subprocess.Popen[bytes]
    log: Path
    """What it writes to stdout and stderr."""

    def answer(self, url: str, body: object = None, pause: float = 0.2) -> httpx.Response:
        """Return its first answer that is a success, to a body that is POSTed as JSON or else to a GET.

        Raises
        ------
        ServerError
            It ends, or none comes within a minute; asked is every `pause` seconds. The end of its log is printed.
        """
        method = "GET" if body is None else "POST"
        deadline = time.monotonic() + _PATIENCE
        with httpx.Client(timeout=_PATIENCE) as client:
            while self.process.poll() is None and time.monotonic() < deadline:
                try:
                    return client.request(method, url, json=body).raise_for_status()
                except httpx.HTTPError:
                    time.sleep(pause)
        log = self.log.read_text(encoding="utf-8", errors="replace").strip()
        print(log[-4000:], file=sys.stderr)
        raise ServerError(f"no answer from {url}: {log.splitlines()[-1].strip() if log else 'its log is empty'}")

    def family(self) -> list[psutil.Process]:
        """Return the processes that it started, and those they did."""
        return psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []

    def workers(self) -> list[psutil.Process]:
        """Return those of its processes that answer requests."""
        found = []
        for process in self.family():
            with suppress(psutil.Error):  # one that has just ended
                if _WORKER in process.cmdline():
                    found.append(process)
        return found


def ours(port: int) -> list[str]:
    """Return what serves this checkout, in the folder `ROOT`."""
    return [sys.executable, "-m", "bentoml", "serve", ".", "--host", "127.0.0.1", "--port", str(port)]


@contextmanager
def serving(
    command: list[str], model: bentoml.Model, folder: Path, cwd: Path = HERE, **environment: str
) -> Iterator[Server]:
    """Run a server of a stored model, and end it; its files go into a new folder in `folder`."""
    # A home of its own, because each BentoML server empties the folder of metrics in it.
    home = Path(mkdtemp(dir=folder))
    (home / "models").symlink_to(Path(model.path).parents[1])
    log = home / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command,
            cwd=cwd,
            env=os.environ
            | {
                "BENTOML_HOME": str(home),
                "BENTOML_DO_NOT_TRACK": "True",
                "DRUGPRED_MODEL": str(model.tag),
                "DRUGPRED_GRPC_PORT": "0",
                "OMP_NUM_THREADS": "1",  # one thread of BLAS for each, as the service gives its workers
                "PYTHONPATH": str(ROOT),
                "STORED_MODEL": str(model.path),
            }
            | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(process, log)
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
            for one in left:
                one.kill()
            psutil.wait_procs(left, timeout=5)
