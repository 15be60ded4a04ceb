"""One starter for each real part of a test, free ports, and how long to wait."""

import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseServer
from typing import TypeVar

import httpx
import psutil
import pytest

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
"""The checkout."""

NIGHTLY = os.environ.get("CAMPAIGN") == "nightly"
"""Whether campaigns run in full, as they do each night; otherwise each is as short as still finds its faults."""


PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: for httpx if nothing is encrypted. By default each client reads all certificates, in 40 ms."""


def skip(reason: str) -> None:
    """Skip with a clear line, or fail where TESTS_MUST_NOT_SKIP is set (as .ci/run does)."""
    if os.environ.get("TESTS_MUST_NOT_SKIP"):
        pytest.fail(f"may not skip here: {reason}")
    pytest.skip(reason)


def wait(look: Callable[[], T], what: str | Callable[[], str], seconds: float = 60) -> T:
    """Return the first true result of `look`; after `seconds` fail with a message that names `what`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"waited {seconds} s in vain: {what() if callable(what) else what}")


def imported(output: str) -> set[str]:
    """Return the modules that a process with `-X importtime`, or PYTHONPROFILEIMPORTTIME, has written."""
    return {line.rpartition("|")[2].strip() for line in output.splitlines() if line.startswith("import time:")}


def answers(url: str) -> bool:
    """Return whether a URL answers with 200."""
    try:
        return httpx.get(url, timeout=1, verify=PLAIN).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running(command: Sequence[str | Path], log: Path, url: str, **options: object) -> Iterator[psutil.Popen]:
    """Run a program that answers at a URL, and end it with all its processes.

    Parameters
    ----------
    command : sequence of str or Path
    log : Path
        The file for its stdout and stderr.
    url : str
        It is ready once this answers with 200.
    **options
        More of subprocess.Popen's.
    """
    with log.open("w") as output:
        process = psutil.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
    try:
        wait(lambda: process.poll() is not None or answers(url), log.read_text, 180)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        family = process.children(recursive=True) if process.poll() is None else []
        process.terminate()
        psutil.wait_procs([process], timeout=30)
        for each in (process, *family):
            if each.is_running():
                each.kill()


@contextmanager
def in_thread(run: Callable[[], object], end: Callable[[], object]) -> Iterator[None]:
    """Run a function in a thread, and at the end call another that lets it return."""
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        end()
        thread.join()


@contextmanager
def repeating(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    """Call a function in a thread, again and again after a pause."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            action()

    with in_thread(run, ended.set):
        yield


@contextmanager
def serving(server: BaseServer) -> Iterator[str]:
    """Serve in a thread, and yield the address; close the server at the end."""
    with server, in_thread(lambda: server.serve_forever(poll_interval=0.05), server.shutdown):
        host, port = server.server_address[:2]
        yield f"{host}:{port}"
