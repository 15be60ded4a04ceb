"""Kill random workers under load, and count the lost requests: python -m loadtest.resilience.chaos --kills 200.

Clients load a `bentoml serve` of the newest stored model with two workers: over kept and over new connections of HTTP
and gRPC. Repeatedly one of the workers is killed by SIGKILL, and replaced by the server. A request may be lost only on
a connection that the killed worker had accepted, or, over gRPC, on one that waited in its queue: the workers share one
socket for HTTP, but have one each for gRPC, and a client without wait_for_ready sees that its new connection broke. At
the end the counts in /metrics must match the answers, and SIGTERM must end all processes. Otherwise the exit status is
1.
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
from statistics import median
from typing import TYPE_CHECKING, Final

import httpx
import psutil

from loadtest.harness.servers import ServerError, exit_on_error, newest_model, serve
from loadtest.resilience.clients import Outcomes, load

if TYPE_CHECKING:
    import bentoml

    from loadtest.harness.servers import Service

WORKERS: Final = 2

_TIMEOUT: Final = 60  # seconds for the replacement of a killed worker


@dataclass
class Kill:
    """A killed worker."""

    http: frozenset[int]
    """Client ports of its HTTP connections."""
    grpc: int
    """Number of its gRPC connections."""
    gone: float = 0.0
    """When its gRPC port was closed, on the monotonic clock."""
    seconds: float = 0.0
    """Seconds until its successor answered."""


@dataclass
class Report:
    """The outcomes of the requests."""

    kills: list[Kill] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    """By kind of client."""
    lost: Counter[str] = field(default_factory=Counter)
    """On connections that a killed worker had accepted."""
    waiting: Counter[str] = field(default_factory=Counter)
    """On new gRPC connections, which may wait in its queue."""
    unexplained: list[str] = field(default_factory=list)
    """Other failures."""
    files: int = 0
    """Number of files in the metrics folder at the end."""
    scrape: float = 0.0
    """Seconds of /metrics at the end."""

    def text(self) -> str:
        """Return the report as text."""
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


@exit_on_error()
def main() -> None:
    """Kill and print."""
    parser = argparse.ArgumentParser(description="Kill random workers under load, and count lost requests.")
    parser.add_argument("--kills", type=int, default=200, help="number of kills (default: 200)")
    kills = parser.parse_args().kills
    report = kill_workers(newest_model(), kills)
    print(report.text())
    if report.unexplained:
        raise SystemExit(1)


def kill_workers(model: bentoml.Model, kills: int) -> Report:
    """Serve a model, and kill workers.

    Raises
    ------
    ServerError
        The server does not start, or does not replace a worker.
    """
    with serve(model, WORKERS) as server:
        report = asyncio.run(_kill_workers(server, kills))
        begun = time.monotonic()
        counted = httpx.get(f"{server.url}/metrics", timeout=_TIMEOUT).text
        report.scrape = time.monotonic() - begun
        report.files = sum(1 for _ in server.home.glob("prometheus_multiproc_dir*/*"))
        _check_counts(report, counted)
        _check_end(report, server)
    return report


async def _kill_workers(server: Service, kills: int) -> Report:
    report = Report()
    stop = asyncio.Event()
    outcomes = Outcomes(report.answered)
    loading = asyncio.create_task(load(server.port, server.grpc_port, outcomes, stop))
    await _until_all_answer(server)
    for _ in range(kills):
        worker = random.choice(server.workers())
        report.kills.append(await _kill(worker, server))
        _explain(report, outcomes)
    stop.set()
    await loading
    _explain(report, outcomes)
    return report


async def _kill(worker: psutil.Process, server: Service) -> Kill:
    worker.send_signal(signal.SIGSTOP)  # it accepts nothing while its connections are listed
    accepted = [connection for connection in worker.net_connections("tcp") if connection.raddr]
    kill = Kill(
        frozenset(connection.raddr.port for connection in accepted if connection.laddr.port == server.port),
        sum(connection.laddr.port == server.grpc_port for connection in accepted),
    )
    listening = _listening(server.grpc_port)
    begun = time.monotonic()
    worker.send_signal(signal.SIGKILL)
    while worker in server.workers():
        await asyncio.sleep(0.01)
    # Its port is closed last.
    while _listening(server.grpc_port) == listening and time.monotonic() < begun + 1:
        await asyncio.sleep(0.01)
    kill.gone = time.monotonic()
    await _until_all_answer(server)
    kill.seconds = time.monotonic() - begun
    return kill


def _listening(port: int) -> int:
    return sum(
        connection.laddr.port == port and connection.status == psutil.CONN_LISTEN
        for connection in psutil.net_connections("tcp")
    )


async def _until_all_answer(server: Service) -> None:
    """Wait until every worker accepts HTTP requests and listens for gRPC."""
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        workers = server.workers()
        if len(workers) == WORKERS and all(_answers(worker, server) for worker in workers):
            return
        await asyncio.sleep(0.05)
    raise ServerError(f"not all {WORKERS} workers answer after {_TIMEOUT} s")


def _answers(worker: psutil.Process, server: Service) -> bool:
    try:
        connections = worker.net_connections("tcp")
    except psutil.Error:
        return False
    listens = any(
        connection.laddr.port == server.grpc_port and connection.status == psutil.CONN_LISTEN
        for connection in connections
    )
    return listens and any(connection.laddr.port == server.port and connection.raddr for connection in connections)


def _explain(report: Report, outcomes: Outcomes) -> None:
    """Sort the requests lost since the last kill."""
    last = report.kills[-1]
    left = last.grpc  # each of its connections has at most one call in flight
    for failure in outcomes.failures:
        if failure.port in last.http:
            report.lost[failure.kind] += 1
        elif failure.kind == "grpc new" and failure.begun < last.gone and failure.error.startswith("UNAVAILABLE"):
            report.waiting[failure.kind] += 1
        elif failure.kind == "grpc" and left:
            left -= 1
            report.lost[failure.kind] += 1
        else:
            report.unexplained.append(f"kill {len(report.kills)}: {failure.kind}, {failure.error}")
    outcomes.failures.clear()


def _check_counts(report: Report, metrics: str) -> None:
    """Compare /metrics with the answers; some lost requests were counted but not answered."""
    for kinds, pattern in (
        (("kept", "new"), r'bentoml_service_request_total\{endpoint="/predict",http_response_code="200".*\} (\S+)'),
        (("batch",), r'bentoml_service_request_total\{endpoint="/predict_batch",http_response_code="200".*\} (\S+)'),
        (("grpc", "grpc new"), r'drugpred_grpc_requests_total\{code="OK",method="[\w.]+/Predict"\} (\S+)'),
    ):
        counted = sum(map(float, re.findall(pattern, metrics)))
        answered, *all_lost = (
            sum(counts[kind] for kind in kinds) for counts in (report.answered, report.lost, report.waiting)
        )
        lost = sum(all_lost)
        if not answered <= counted <= answered + lost:
            report.unexplained.append(f"{'+'.join(kinds)}: {answered} answered, {lost} lost, {counted:.0f} counted")


def _check_end(report: Report, server: Service) -> None:
    family = server.family()
    server.process.terminate()
    code = server.process.wait(_TIMEOUT)
    left = psutil.wait_procs(family, timeout=5)[1]
    if code or left:
        report.unexplained.append(f"SIGTERM: exit code {code}, {len(left)} processes left")


if __name__ == "__main__":
    main()
