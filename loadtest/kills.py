"""Kill random workers under load, and count what is lost: python loadtest/kills.py --kills 200.

One `bentoml serve` of the newest stored model with two workers is asked all the time: over kept and over new
connections of HTTP and gRPC. Again and again one of its workers is ended by SIGKILL, and replaced by the server. A
request may be lost only on a connection that the killed worker had accepted, or, over gRPC, that waited in its queue:
the workers share one socket for HTTP, but have one each for gRPC, and a client without wait_for_ready is told that its
new connection broke. At the end what /metrics counts must be what was answered, and SIGTERM must end all processes.
Otherwise the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import httpx
import psutil
from asking import Selection, load
from peers.ports import free_ports
from servers import ROOT, Server, ServerError, ours, serving

from drugpred import model_store
from drugpred.errors import StoredModelError
from drugpred.settings import Settings

if TYPE_CHECKING:
    import bentoml

__all__ = ["Killed", "Storm", "storm"]

WORKERS: Final = 2

_PATIENCE: Final = 60
"""Seconds until a killed worker must be replaced."""


@dataclass
class Killed:
    """One worker that was killed."""

    http: frozenset[int]
    """The clients' ports of the HTTP connections that it had."""
    grpc: int
    """How many connections of gRPC it had."""
    gone: float = 0.0
    """When its port for gRPC was closed, by the monotonic clock."""
    seconds: float = 0.0
    """Until its successor answered."""


@dataclass
class Storm:
    """What became of the requests."""

    kills: list[Killed] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    """By kind of client."""
    lost: Counter[str] = field(default_factory=Counter)
    """On connections that a killed worker had accepted."""
    waiting: Counter[str] = field(default_factory=Counter)
    """On new connections of gRPC, which may wait in its queue."""
    unexplained: list[str] = field(default_factory=list)
    """What else went wrong."""
    files: int = 0
    """In the folder of the metrics, at the end."""
    scrape: float = 0.0
    """Seconds that /metrics took at the end."""

    def report(self) -> str:
        """Return it in lines to print."""
        waits = sorted(kill.seconds for kill in self.kills)
        lines = [
            f"{len(self.kills)} kills, {self.answered.total():,} requests answered",
            f"lost on connections of a killed worker: {self.lost.total()} ({_by_kind(self.lost)})",
            f"lost on new gRPC connections to a killed worker: {self.waiting.total()} ({_by_kind(self.waiting)})",
            f"lost otherwise: {len(self.unexplained)}",
            f"replaced after {median(waits):.1f} s, at most {waits[-1]:.1f} s",
            f"{self.files} files of metrics, /metrics in {1000 * self.scrape:.0f} ms",
        ]
        return "\n".join([*lines, *self.unexplained[:20]])


def _by_kind(counts: Counter[str]) -> str:
    return ", ".join(f"{kind}: {n}" for kind, n in sorted(counts.items()))


def main() -> None:
    """Kill and print."""
    parser = argparse.ArgumentParser(description="Kill random workers under load, and count what is lost.")
    parser.add_argument("--kills", type=int, default=200, help="how often (default: 200)")
    try:
        found = storm(model_store.resolve(Settings().model), parser.parse_args().kills)
    except (StoredModelError, ServerError) as error:
        raise SystemExit(f"error: {error}") from error
    print(found.report())
    if found.unexplained:
        raise SystemExit(1)


def storm(model: bentoml.Model, kills: int) -> Storm:
    """Serve a model, and kill workers.

    Raises
    ------
    ServerError
        The server does not start, or does not replace a worker.
    """
    port, rpc = free_ports(2)
    environment = {"DRUGPRED_GRPC_PORT": str(rpc), "BENTOML_CONFIG_OPTIONS": f"services.drugpred.workers={WORKERS}"}
    with (
        TemporaryDirectory() as folder,
        serving(ours(port), model, Path(folder), ROOT, **environment) as server,
    ):
        server.answer(f"http://127.0.0.1:{port}/readyz")
        found = asyncio.run(_storm(server, port, rpc, kills))
        begun = time.monotonic()
        counted = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=_PATIENCE).text
        found.scrape = time.monotonic() - begun
        found.files = sum(1 for _ in (server.log.parent / "prometheus_multiproc_dir").iterdir())
        _check_counts(found, counted)
        _check_end(found, server)
    return found


async def _storm(server: Server, port: int, rpc: int, kills: int) -> Storm:
    found = Storm()
    stop = asyncio.Event()
    asked = Selection(found.answered)
    loading = asyncio.create_task(load(port, rpc, asked, stop))
    await _until_all_answer(server, port, rpc)
    for _ in range(kills):
        worker = random.choice(server.workers())
        found.kills.append(await _kill(worker, server, port, rpc))
        _explain(found, asked)
    stop.set()
    await loading
    _explain(found, asked)
    return found


async def _kill(worker: psutil.Process, server: Server, port: int, rpc: int) -> Killed:
    worker.send_signal(signal.SIGSTOP)  # so that it accepts nothing more while its connections are listed
    accepted = [each for each in worker.net_connections("tcp") if each.raddr]
    killed = Killed(
        frozenset(each.raddr.port for each in accepted if each.laddr.port == port),
        sum(each.laddr.port == rpc for each in accepted),
    )
    listening = _listening(rpc)
    begun = time.monotonic()
    worker.send_signal(signal.SIGKILL)
    while worker in server.workers():
        await asyncio.sleep(0.01)
    while _listening(rpc) == listening and time.monotonic() < begun + 1:  # it is closed after all else is given back
        await asyncio.sleep(0.01)
    killed.gone = time.monotonic()
    await _until_all_answer(server, port, rpc)
    killed.seconds = time.monotonic() - begun
    return killed


def _listening(port: int) -> int:
    return sum(each.laddr.port == port and each.status == psutil.CONN_LISTEN for each in psutil.net_connections("tcp"))


async def _until_all_answer(server: Server, port: int, rpc: int) -> None:
    """Wait until every worker takes requests over HTTP and listens for gRPC."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        workers = server.workers()
        if len(workers) == WORKERS and all(_answers(worker, port, rpc) for worker in workers):
            return
        await asyncio.sleep(0.05)
    raise ServerError(f"not all {WORKERS} workers answer after {_PATIENCE} s")


def _answers(worker: psutil.Process, port: int, rpc: int) -> bool:
    try:
        connections = worker.net_connections("tcp")
    except psutil.Error:
        return False
    listens = any(each.laddr.port == rpc and each.status == psutil.CONN_LISTEN for each in connections)
    return listens and any(each.laddr.port == port and each.raddr for each in connections)


def _explain(found: Storm, asked: Selection) -> None:
    """Sort what was lost since the last kill."""
    last = found.kills[-1]
    left = last.grpc  # each of its connections has one call in flight at most
    for failure in asked.failures:
        if failure.port in last.http:
            found.lost[failure.kind] += 1
        elif failure.kind == "grpc new" and failure.begun < last.gone and failure.error.startswith("UNAVAILABLE"):
            found.waiting[failure.kind] += 1
        elif failure.kind == "grpc" and left:
            left -= 1
            found.lost[failure.kind] += 1
        else:
            found.unexplained.append(f"kill {len(found.kills)}: {failure.kind}, {failure.error}")
    asked.failures.clear()


def _check_counts(found: Storm, metrics: str) -> None:
    """Hold /metrics against what was answered; of what was lost some was counted, but not told."""
    for kinds, pattern in (
        (("kept", "new"), r'bentoml_service_request_total\{endpoint="/predict",http_response_code="200".*\} (\S+)'),
        (("batch",), r'bentoml_service_request_total\{endpoint="/predict_batch",http_response_code="200".*\} (\S+)'),
        (
            ("grpc", "grpc new"),
            r'drugpred_grpc_requests_total\{code="OK",method="[\w.]+/Predict"\} (\S+)',
        ),
    ):
        counted = sum(map(float, re.findall(pattern, metrics)))
        answered, *all_lost = (
            sum(counts[kind] for kind in kinds) for counts in (found.answered, found.lost, found.waiting)
        )
        lost = sum(all_lost)
        if not answered <= counted <= answered + lost:
            found.unexplained.append(f"{'+'.join(kinds)}: {answered} answered, {lost} lost, {counted:.0f} counted")


def _check_end(found: Storm, server: Server) -> None:
    family = server.family()
    server.process.terminate()
    code = server.process.wait(_PATIENCE)
    left = psutil.wait_procs(family, timeout=5)[1]
    if code or left:
        found.unexplained.append(f"SIGTERM: exit code {code}, {len(left)} processes left")


if __name__ == "__main__":
    main()
