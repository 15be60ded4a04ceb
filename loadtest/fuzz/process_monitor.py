"""Monitors the service under test: its answers, and the resources of its processes."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import httpx
import psutil

from drugpred.schemas import EXAMPLE
from loadtest.harness.servers import is_worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MIN_INPUTS: Final = 5000  # inputs before growth is judged: the first thousands fill caches and buffers
_MIN_INPUTS_FOR_MEMORY: Final = 50_000  # the same for memory
_INTERVAL: Final = 0.5  # seconds between measurements of memory
_MAX_MB: Final = 32
"""Allowed growth of a worker's memory in the second half of the inputs, which are like those of the first."""

_MAX_HANDLES: Final = 16  # allowed growth of open files and connections since the start


class Usage(NamedTuple):
    """Resources of a worker."""

    rss: float  # MB of resident memory
    handles: int  # open files and connections
    threads: int


def usage(port: int) -> dict[int, Usage]:
    """Return the resources of each worker by process id: the processes that share a port, without their parents.

    Raises
    ------
    LookupError
        No process of this machine listens on the port.
    """
    listening = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid
    }
    family = {child.pid for pid in listening for child in psutil.Process(pid).children(recursive=True)} or listening
    workers = [process for process in map(psutil.Process, family) if is_worker(process)]
    if not workers:
        raise LookupError(f"expected a `bentoml serve` on port {port} of this machine")
    return {one.pid: Usage(one.memory_info().rss / 1e6, one.num_fds(), one.num_threads()) for one in workers}


class LowestMemory:
    """Lowest memory of processes: after bodies of 5 MB memory varies, but leaks remain."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        self._read: defaultdict[int, list[float]] = defaultdict(list)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def of(self, now: Mapping[int, Usage]) -> dict[int, Usage]:
        """Return the resources of workers; memory is the lowest in the second half of the time since the last call."""
        read, self._read = self._read, defaultdict(list)
        return {pid: one._replace(rss=min([one.rss, *read[pid][len(read[pid]) // 2 :]])) for pid, one in now.items()}

    def _run(self) -> None:
        while not self._ended.wait(_INTERVAL):
            for pid in self._pids:
                with contextlib.suppress(psutil.Error):  # a process that ended is reported at the end
                    self._read[pid].append(psutil.Process(pid).memory_info().rss / 1e6)


def predict(client: httpx.Client) -> dict[str, Any]:
    """Return the answer for a fixed person, once the rate limit allows the request.

    Raises
    ------
    httpx.HTTPError
        The service is not ready, or does not answer.
    """
    client.get("/readyz").raise_for_status()
    response = client.post("/predict", json=EXAMPLE)
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        time.sleep(float(response.headers["retry-after"]))
        response = client.post("/predict", json=EXAMPLE)
    answer: dict[str, Any] = response.raise_for_status().json()
    return answer


def same_answer(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two answers are the same; other requests in a batch change a probability by 1e-16."""
    pairs = zip(one["risks"], other["risks"], strict=True)
    close = all(math.isclose(a["probability"], b["probability"], abs_tol=1e-9) for a, b in pairs)
    return close and one["model"] == other["model"]


def faults(start: Mapping[int, Usage], middle: Mapping[int, Usage], end: Mapping[int, Usage], inputs: int) -> list[str]:
    """Return the faults of the workers at the end, a line each; few inputs reveal no growth."""
    if start.keys() != end.keys():
        return [f"workers {sorted(start)} became {sorted(end)}: one ended"]
    wrong: list[str] = []
    if inputs < _MIN_INPUTS:
        return wrong
    for pid, now in end.items():
        grown = now.rss - middle[pid].rss
        if inputs >= _MIN_INPUTS_FOR_MEMORY and grown > _MAX_MB:
            wrong.append(f"worker {pid}: {grown:.0f} MB of memory more than after half of the inputs")
        if (more := now.handles - start[pid].handles) > _MAX_HANDLES:
            wrong.append(f"worker {pid}: {more} open files and connections more than at the start")
    return wrong
