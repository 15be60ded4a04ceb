"""Seconds until this service is ready, and the memory of its worker, beside the least that BentoML can serve.

usage: python loadtest/footprint.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

from peers.ports import free_ports
from peers.registry import bentoml_serve
from servers import HERE, ROOT, Server, ServerError, ours, serving

from drugpred import model_store
from drugpred.errors import StoredModelError
from drugpred.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import bentoml
    import psutil

STARTS: Final = 5


class Footprint(NamedTuple):
    """What one start took."""

    seconds: float
    """From the command to the first 200 of /readyz."""
    rss: float
    """MB of memory that the worker has, what it shares with other processes too."""
    uss: float
    """MB of memory that would be free if the worker ended."""


def main() -> None:
    """Measure and print."""
    try:
        model = model_store.resolve(Settings().model)
        starts: dict[str, list[Footprint]] = {"drugpred": [], "bare BentoML": []}
        for _ in range(STARTS):
            for title, found in starts.items():
                found.append(start(model, bare=title != "drugpred"))
    except (StoredModelError, ServerError) as error:
        raise SystemExit(f"error: {error}") from error
    print(f"medians of {STARTS} starts in turn, one worker\n")
    print(table(starts))


def start(model: bentoml.Model, *, bare: bool) -> Footprint:
    """Start this service, or the bare one in the same environment, measure it once and end it."""
    (port,) = free_ports(1)
    command, cwd = (bentoml_serve(sys.executable, "bentoml_bare", port), HERE) if bare else (ours(port), ROOT)
    with TemporaryDirectory() as folder:
        begun = time.monotonic()
        with serving(command, model, Path(folder), cwd) as server:
            server.answer(f"http://127.0.0.1:{port}/readyz", pause=0.02)
            seconds = time.monotonic() - begun
            memory = _worker(server).memory_full_info()
    return Footprint(seconds, memory.rss / 1e6, memory.uss / 1e6)


def _worker(server: Server) -> psutil.Process:
    (worker,) = server.workers()
    return worker


def table(starts: Mapping[str, Sequence[Footprint]]) -> str:
    """Return the medians of each service, then the ratios of the first service's to the second's, start by start."""
    lines = [f"{'':16}{'ready after s':>15}{'RSS MB':>10}{'USS MB':>10}"]
    for title, found in starts.items():
        seconds, rss, uss = map(median, zip(*found, strict=True))
        lines.append(f"{title:16}{seconds:15.2f}{rss:10.1f}{uss:10.1f}")
    pairs = zip(*starts.values(), strict=True)
    ratios = [[a / b for a, b in zip(one, other, strict=True)] for one, other in pairs]
    seconds, rss, uss = map(median, zip(*ratios, strict=True))
    lines.append(f"{'ratio':16}{seconds:15.2f}{rss:10.2f}{uss:10.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
