"""Measure the effect of attacks on clients with a key: python -m loadtest.resilience.under_attack.

Each attack (loadtest/resilience/attacks.py) gets a new `bentoml serve` of the newest stored model, with keys and, like
a container, 512 MB of memory and two processors. Clients send 20 requests per second over each of HTTP and gRPC:
predictions, batches, explanations, streams and the model; /readyz is probed. The exit status is 1 if a limit is missed:
99 of 100 requests answered within a second, none failed, each probe answered within half a second, memory within a
minute at most 1.3 times that before, no process ended, no request wrongly accepted. The clients use the same
processors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import secrets
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from statistics import median
from typing import TYPE_CHECKING, Final

import psutil

from loadtest.harness.servers import ROOT, ServerError, exit_on_error, newest_model, serve
from loadtest.resilience.attacks import ATTACKS
from loadtest.resilience.callers import ask
from loadtest.resilience.cgroup import limited

if TYPE_CHECKING:
    from collections.abc import Sequence

    import bentoml

    from loadtest.harness.servers import Service
    from loadtest.resilience.callers import Answered
    from loadtest.resilience.cgroup import Group

MEGABYTES: Final = 512
PROCESSORS: Final = 2

MAX_SECONDS: Final = 1.0  # 99th percentile of a client's answers
MAX_PROBE_SECONDS: Final = 0.5  # of the slowest answer of /readyz
MAX_RATIO: Final = 1.3  # of the memory a minute after an attack to that before it
_WARM_UP: Final = 5.0
_RECOVERY: Final = 60.0
_INTERVAL: Final = 0.2
_SETTLING: Final = 5.0
_TIMEOUT: Final = 30.0
"""Seconds: before an attack, until memory must have recovered, between measurements, until the first check of memory,
and for the attacker to end."""


@dataclass(frozen=True)
class Outcome:
    """Measurements during an attack and until memory has recovered."""

    attack: str
    sent: int
    """Requests of the attack."""
    let_in: int
    """Those of them that were wrongly accepted."""
    answered: tuple[Answered, ...]
    before: float
    peak: float
    after: float
    """MB of memory of all processes of the server, each page once."""
    killed: int
    """Processes."""
    stuck: bool = False
    """Whether the server failed to end after SIGTERM."""

    def seconds(self, kind: str, share: float) -> float:
        """Return the time in which a share of the requests was answered."""
        durations = sorted(one.seconds for one in self.answered if one.kind == kind)
        return durations[math.ceil(share * len(durations)) - 1]

    def failures(self, kind: str) -> Counter[str]:
        """Return the errors of failed requests."""
        return Counter(one.failure for one in self.answered if one.kind == kind and one.failure)


@exit_on_error()
def main() -> None:
    """Attack, measure and print."""
    parser = argparse.ArgumentParser(description="Measure the effect of attacks on clients.")
    parser.add_argument(
        "--attack", action="append", choices=ATTACKS, help="only this attack; may be repeated (default: all)"
    )
    parser.add_argument("--seconds", type=float, default=15, help="seconds of each attack (default: %(default)s)")
    arguments = parser.parse_args()
    outcomes = []
    model = newest_model()
    for attack in arguments.attack or ATTACKS:
        with limited(MEGABYTES, PROCESSORS) as group:
            outcomes.append(attacked(model, attack, arguments.seconds, group))
    print(f"{MEGABYTES} MB, {PROCESSORS} processors" if group else "no limit: this user cannot create a control group")
    print(table(outcomes))
    wrong = [f"{outcome.attack}: {what}" for outcome in outcomes for what in missed(outcome)]
    if wrong:
        print("\nMissed:", *wrong, sep="\n")
        raise SystemExit(1)


def attacked(model: bentoml.Model, attack: str, seconds: float, group: Group | None) -> Outcome:
    """Serve a model and attack it.

    Raises
    ------
    ServerError
        The server does not start.
    """
    keys = {name: secrets.token_hex(32) for name in ("caller", "attacker")}
    lines = [f"{name} predict,read {sha256(key.encode()).hexdigest()}" for name, key in keys.items()]
    outcome = None
    try:
        with serve(model, group=group, DRUGPRED_API_KEYS=";".join(lines)) as server:
            outcome = asyncio.run(_attacked(server, attack, seconds, group, keys))
    except subprocess.TimeoutExpired as error:
        if outcome is None:
            raise ServerError(str(error)) from error
        outcome = replace(outcome, stuck=True)
    return outcome


async def _attacked(server: Service, attack: str, seconds: float, group: Group | None, keys: dict[str, str]) -> Outcome:
    answered: list[Answered] = []
    memory: list[float] = []
    ended = asyncio.Event()
    observing = asyncio.gather(
        ask(server.port, server.grpc_port, keys["caller"], answered, ended), _read(server, memory, ended)
    )
    try:
        await asyncio.sleep(_WARM_UP)
        before, workers, begun = median(memory[len(memory) // 2 :]), set(server.workers()), time.monotonic()
        memory.clear()
        counts = await _attack(server, attack, seconds, keys["attacker"])
        deadline = time.monotonic() + _RECOVERY
        await asyncio.sleep(_SETTLING)
        while memory[-1] > MAX_RATIO * before and time.monotonic() < deadline:
            await asyncio.sleep(_INTERVAL)
        after = memory[-1]
    finally:
        ended.set()
        await observing
    return Outcome(
        attack,
        counts.get("sent", 0),
        counts.get("accepted", 0),
        tuple(one for one in answered if one.begun >= begun),
        before,
        max(memory),
        after,
        max(group.killed() if group else 0, len(workers.difference(server.workers()))),
    )


async def _attack(server: Service, attack: str, seconds: float, key: str) -> dict[str, int]:
    """Run an attack in a separate process, and return its counts."""
    command = [sys.executable, "-m", "loadtest.resilience.attacks", attack, "--key", key, "--seconds", seconds]
    command += ["--port", server.port, "--grpc-port", server.grpc_port]
    pipe = asyncio.subprocess.PIPE
    attacker = await asyncio.create_subprocess_exec(*map(str, command), cwd=ROOT, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(seconds + _TIMEOUT):
            output, errors = await attacker.communicate()
    finally:
        if attacker.returncode is None:
            attacker.kill()
    if attacker.returncode:
        raise ServerError(f"the attack ended: {errors.decode().splitlines()[-1]}")
    counts: dict[str, int] = json.loads(output)
    return counts


async def _read(server: Service, memory: list[float], ended: asyncio.Event) -> None:
    while not ended.is_set():
        memory.append(await asyncio.to_thread(_held, server))
        await asyncio.sleep(_INTERVAL)


def _held(server: Service) -> float:
    """Return the MB of memory of a server's processes, each page once."""
    held = 0
    with suppress(psutil.Error):  # a process that has just ended
        for process in server.family():
            held += process.memory_full_info().pss
    return held / 1e6


def missed(outcome: Outcome) -> list[str]:
    """Return the limits that an outcome misses, a line each."""
    wrong = []
    for kind, title in (("http", "HTTP"), ("grpc", "gRPC")):
        seconds = outcome.seconds(kind, 0.99)
        if seconds >= MAX_SECONDS:
            wrong.append(f"{title} p99 {seconds:.2f} s, expected under {MAX_SECONDS} s")
    for kind, title in (("http", "HTTP requests"), ("grpc", "gRPC calls"), ("probe", "probes")):
        failures = outcome.failures(kind)
        if failures:
            reasons = ", ".join(f"{reason} {n}" for reason, n in failures.most_common())
            wrong.append(f"{failures.total()} {title} failed ({reasons}), expected none")
    slowest = outcome.seconds("probe", 1)
    if slowest > MAX_PROBE_SECONDS:
        wrong.append(f"/readyz after {slowest:.2f} s, expected at most {MAX_PROBE_SECONDS} s")
    if outcome.after > MAX_RATIO * outcome.before:
        ratio = outcome.after / outcome.before
        wrong.append(
            f"memory is {ratio:.2f} times that before, expected at most {MAX_RATIO} times after {_RECOVERY:.0f} s"
        )
    if outcome.killed:
        wrong.append(f"{outcome.killed} processes ended, expected none")
    if outcome.stuck:
        wrong.append("the server did not end within 30 s of SIGTERM")
    if outcome.let_in:
        wrong.append(f"{outcome.let_in} of {outcome.sent} requests were wrongly accepted, expected none")
    return wrong


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a table of the measurements during each attack."""
    columns = (
        *("HTTP p99 s", "failed", "gRPC p99 s", "failed", "/readyz s", "failed", "MB before", "peak", "after"),
        "ended",
    )
    lines = [f"{'attack':24}{'sent':>8}" + "".join(f"{name:>{len(name) + 2}}" for name in columns)]
    for one in outcomes:
        cells = [
            *(f"{one.seconds('http', 0.99):.2f}", str(one.failures("http").total())),
            *(f"{one.seconds('grpc', 0.99):.2f}", str(one.failures("grpc").total())),
            *(f"{one.seconds('probe', 1):.2f}", str(one.failures("probe").total())),
            *(f"{one.before:.0f}", f"{one.peak:.0f}", f"{one.after / one.before:.2f}", str(one.killed)),
        ]
        padded = (f"{cell:>{len(name) + 2}}" for name, cell in zip(columns, cells, strict=True))
        lines.append(f"{one.attack:24}{one.sent:8,}" + "".join(padded))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
