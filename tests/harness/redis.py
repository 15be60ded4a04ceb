"""A real Redis on a free port of loopback, which may die and come back."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness import skip
from tests.harness.ports import free_ports

SECONDS = 30
"""The longest that it is waited for."""


class Redis:
    """A redis-server that keeps nothing on disk; the same port each time that it is started."""

    def __init__(self, *options: str) -> None:
        (self.port,) = free_ports(1)
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def patient_url(self) -> str:
        """The URL for tests in which only a dead Redis may be given up, not a busy machine."""
        return f"{self.url}?socket_timeout={SECONDS}&socket_connect_timeout={SECONDS}&timeout={SECONDS}"

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            skip("no redis-server: apt-get install redis-server")
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([*command, *self._options], stdout=subprocess.DEVNULL)
        end = time.monotonic() + SECONDS
        while not self._answers():
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < end, "redis-server does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)
            self._process = None

    def ask(self, *words: str) -> bytes:
        """Return the raw answer to a command."""
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as connection:
            connection.sendall(f"{' '.join(words)}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def _answers(self) -> bool:
        try:
            return b"+OK" in self.ask("PING")  # to QUIT, with or without a password
        except OSError:
            return False


@contextmanager
def running(*options: str) -> Iterator[Redis]:
    """Run a Redis, with more options for its command line."""
    redis = Redis(*options)
    redis.start()
    try:
        yield redis
    finally:
        redis.stop()
