"""The service that is tried: whether it answers as before, and what its processes hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx
import psutil

from drugpred.schemas import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Held", "answers", "held", "same", "told"]

_TELLING: Final = 5000
"""Inputs after which growth is judged: the first thousands fill caches and buffers."""

_TELLING_OF_MEMORY: Final = 50_000
"""The same of memory, which after bodies of 5 MB goes up and down by as much as is judged."""

_MOST_MB: Final = 32
"""What a worker's memory may grow by in the second half of the inputs, which are like those of the first."""

_MOST_HANDLES: Final = 16
"""What its open files and connections may grow by from the start."""


class Held(NamedTuple):
    """What a worker holds."""

    rss: float
    """MB of memory."""
    handles: int
    """Files and connections that are open."""
    threads: int


def held(url: str) -> dict[int, Held]:
    """Return what each worker holds, by its process id: those that share the port of a URL, but their parents.

    Raises
    ------
    LookupError
        No process of this machine listens there.
    """
    port = urlsplit(url).port
    found = {
        each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid
    }
    family = {child.pid for pid in found for child in psutil.Process(pid).children(recursive=True)} or found
    workers = [psutil.Process(pid) for pid in family]
    workers = [one for one in workers if "_bentoml_impl.worker.service" in one.cmdline()]
    if not workers:
        raise LookupError(f"expected a `bentoml serve` of this machine on port {port}")
    return {one.pid: Held(one.memory_info().rss / 1e6, one.num_fds(), one.num_threads()) for one in workers}


def answers(url: str) -> dict[str, Any]:
    """Return what the service says of a person who is always the same.

    Raises
    ------
    httpx.HTTPError
        It is not ready, or does not answer.
    """
    with httpx.Client(base_url=url, timeout=10) as client:
        client.get("/readyz").raise_for_status()
        answer: dict[str, Any] = client.post("/predict", json=EXAMPLE).raise_for_status().json()
    return answer


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two answers tell the same; who else is answered together moves a probability by 1e-16."""
    pairs = zip(one["risks"], other["risks"], strict=True)
    close = all(math.isclose(a["probability"], b["probability"], abs_tol=1e-9) for a, b in pairs)
    return close and one["model"] == other["model"]


def told(start: Mapping[int, Held], middle: Mapping[int, Held], end: Mapping[int, Held], inputs: int) -> list[str]:
    """Return what is wrong with the workers at the end, a line each; few inputs tell nothing of growth."""
    if start.keys() != end.keys():
        return [f"workers {sorted(start)} became {sorted(end)}: one ended"]
    wrong: list[str] = []
    if inputs < _TELLING:
        return wrong
    for pid, now in end.items():
        grown = now.rss - middle[pid].rss
        if inputs >= _TELLING_OF_MEMORY and grown > _MOST_MB:
            wrong.append(f"worker {pid}: {grown:.0f} MB of memory more than after half of the inputs")
        if (more := now.handles - start[pid].handles) > _MOST_HANDLES:
            wrong.append(f"worker {pid}: {more} open files and connections more than at the start")
    return wrong
