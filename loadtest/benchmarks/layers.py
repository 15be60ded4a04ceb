"""What each layer of POST /predict costs: python -m loadtest.benchmarks.layers.

Serves the newest stored model by one worker for each layer, without that layer, and prints the difference in the
worker's processor time per request. A part is taken out by a constant in its place, a middleware by passing requests
on. The servers take turns under the same load.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.schemas import EXAMPLE, TOKEN_LENGTH, Profile
from loadtest.benchmarks.generators import require, wrk
from loadtest.benchmarks.peers.registry import PEERS
from loadtest.harness.ports import free_ports
from loadtest.harness.servers import bentoml_serve, exit_on_error, newest_model, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from loadtest.harness.servers import Server

ROUNDS: Final = 5
CLIENTS: Final = 32

_PROFILE: Final = Profile.model_validate(EXAMPLE)
_PROBABILITIES: Final = np.full((1000, len(DRUGS), len(WINDOWS)), 0.1234567890123456)
_LINES: Final = b"content-length: 3000\r\nx-request-id: %b\r\n\r\n" % (b"0" * 32) + b"x" * 3000
_SERVING: Final = "drugpred.serving"

_PROTOCOL: Final = "within the protocol"


class _NoCounts:
    def __init__(self, *_: object) -> None: ...
    def begin(self) -> None: ...
    def end(self, seconds: float | None) -> None: ...


PARTS: Final[dict[str, tuple[str, Callable[..., Any]]]] = {
    _PROTOCOL: (f"{_SERVING}.predict_handler:PredictHandler.of", lambda _: None),
    "validation": (f"{_SERVING}.predict_handler:Profile.model_validate_json", lambda _: _PROFILE),
    "probabilities": ("drugpred.predictor:Predictor.predict_proba", lambda _, rows: _PROBABILITIES[: len(rows)]),
    "counting profiles": ("drugpred.monitoring.prediction_metrics:PredictionCounter.add_each", lambda *_: None),
    "signing": (
        "drugpred.monitoring.feedback.prediction_id:PredictionIdSigner.sign",
        lambda _, rows, *__: ["0" * TOKEN_LENGTH] * len(rows),
    ),
    "JSON and headers": (f"{_SERVING}.predict_handler:PredictHandler._render", lambda *_: _LINES),
    "request metrics": (f"{_SERVING}.patches.request_metrics:BatchCounts", _NoCounts),
}
"""The object that is replaced, and its replacement, for each part."""

PASSED: Final = {
    "middleware: request metrics": f"{_SERVING}.patches.request_metrics:RequestMetricsMiddleware",
    "middleware: tracing, off": "opentelemetry.instrumentation.asgi:OpenTelemetryMiddleware",
    "middleware: connections at the end": f"{_SERVING}.middleware.shutdown:ConnectionCloseMiddleware",
    "middleware: security headers": f"{_SERVING}.middleware.security_headers:SecurityHeadersMiddleware",
    "middleware: error format, request id": f"{_SERVING}.middleware.error_format:ErrorFormatMiddleware",
    "middleware: access, body": f"{_SERVING}.middleware.access:AccessMiddleware",
}
"""The middlewares, without which requests are not answered within the protocol."""


@exit_on_error()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the layers of POST /predict.")
    parser.add_argument("--seconds", type=int, default=2, help="seconds of load in each of five rounds (default: 2)")
    seconds: int = parser.parse_args().seconds
    require("wrk")
    model = newest_model()
    (empty,) = (peer for peer in PEERS if peer.name == "asgi_empty")
    layers = {
        "all": "",
        **{f"without {part}": part for part in PARTS if part != _PROTOCOL},
        "all, through the middleware": _PROTOCOL,
        **{f"without {middleware}": f"{_PROTOCOL};{middleware}" for middleware in PASSED},
    }
    with ExitStack() as stack:
        servers = {}
        for title, layer in layers.items():
            (port,) = free_ports(1)
            command = bentoml_serve("loadtest.benchmarks.layered:DrugPrediction", port)
            servers[title] = stack.enter_context(run(command, model, LAYERS=layer)), f"http://127.0.0.1:{port}/predict"
        (port,) = free_ports(1)
        servers[empty.title] = stack.enter_context(run(empty.command(port), model)), f"http://127.0.0.1:{port}/"
        rounds: dict[str, list[float]] = {title: [] for title in servers}
        for server, url in servers.values():
            server.answer(url, EXAMPLE)
            wrk(url, EXAMPLE, CLIENTS, 1)
        for _ in range(ROUNDS):
            for title, (server, url) in servers.items():
                rounds[title].append(_cost(server, url, seconds))
    print(f"POST /predict, {CLIENTS} clients, {ROUNDS} rounds of {seconds} s in turn, medians of processor time\n")
    print(table(rounds, ["all", "all, through the middleware"]))


def _cost(server: Server, url: str, seconds: int) -> float:
    """Return the microseconds of processor time of the server's processes for each request of a load."""
    processes = [psutil.Process(server.process.pid), *server.family()]

    def used() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    before = used()
    measured = wrk(url, EXAMPLE, CLIENTS, seconds)
    return (used() - before) / (measured.rate * seconds) * 1e6


def table(rounds: Mapping[str, Sequence[float]], wholes: Sequence[str]) -> str:
    """Return a table of microseconds per request, and of the difference to the last whole above each layer.

    Parameters
    ----------
    rounds : mapping of str to sequence of float
        Microseconds by title.
    wholes : sequence of str
        Titles that the titles below them are compared with.
    """
    first = max(map(len, rounds))
    lines = [f"{'':{first}}{'us/request':>12}{'less':>8}"]
    whole: Sequence[float] = ()
    for title, costs in rounds.items():
        line = f"{title:{first}}{median(costs):12.1f}"
        if title in wholes:
            whole = costs
        elif title.startswith("without"):
            line += f"{median(every - cost for every, cost in zip(whole, costs, strict=True)):8.1f}"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
