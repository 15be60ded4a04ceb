"""Seconds until this service is ready, and the memory of its worker, compared with the smallest BentoML service.

usage: python -m loadtest.benchmarks.footprint
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from loadtest.benchmarks.peers.registry import service_of
from loadtest.harness.ports import free_ports
from loadtest.harness.servers import bentoml_serve, exit_on_error, newest_model, run, serve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import bentoml

    from loadtest.harness.servers import Server

STARTS: Final = 5


class Footprint(NamedTuple):
    """Measurements of one start."""

    seconds: float  # from the command to the first 200 of /readyz
    rss: float  # MB of resident memory of the worker, including shared memory
    uss: float  # MB of memory that ending the worker would free


@exit_on_error()
def main() -> None:
    """Measure and print."""
    model = newest_model()
    starts: dict[str, list[Footprint]] = {"drugpred": [], "bare BentoML": []}
    for _ in range(STARTS):
        for title, footprints in starts.items():
            footprints.append(start(model, bare=title != "drugpred"))
    print(f"medians of {STARTS} starts in turn, one worker\n")
    print(table(starts))


def start(model: bentoml.Model, *, bare: bool) -> Footprint:
    """Start this service or the bare one in the same environment, measure it once, and stop it."""
    begun = time.monotonic()
    with ExitStack() as stack:
        server: Server
        if bare:
            (port,) = free_ports(1)
            server = stack.enter_context(run(bentoml_serve(service_of("bentoml_bare"), port), model))
            server.answer(f"http://127.0.0.1:{port}/readyz")
        else:
            server = stack.enter_context(serve(model))
        seconds = time.monotonic() - begun
        (worker,) = server.workers()
        memory = worker.memory_full_info()
    return Footprint(seconds, memory.rss / 1e6, memory.uss / 1e6)


def table(starts: Mapping[str, Sequence[Footprint]]) -> str:
    """Return the medians of each service, then the ratios of the first service's to the second's, start by start."""
    pairs = zip(*starts.values(), strict=True)
    ratios = [[a / b for a, b in zip(one, other, strict=True)] for one, other in pairs]
    lines = [f"{'':16}{'ready after s':>15}{'RSS MB':>10}{'USS MB':>10}"]
    for title, footprints, decimals in (*((title, starts[title], 1) for title in starts), ("ratio", ratios, 2)):
        seconds, rss, uss = map(median, zip(*footprints, strict=True))
        lines.append(f"{title:16}{seconds:15.2f}{rss:10.{decimals}f}{uss:10.{decimals}f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
