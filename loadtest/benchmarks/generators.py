"""Load generators: wrk for HTTP and h2load for gRPC, each with one thread.

Every client is a connection with one request at a time.
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROUNDS: Final = 3

# Script of wrk: the request, and the output at the end.
_LUA: Final = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
%s
wrk.body = [====[%s]====]
function done(summary, latency)
    local e = summary.errors
    io.write("\\n", summary.requests, " ", summary.duration, " ", latency:percentile(50), " ",
        e.connect + e.read + e.write + e.status + e.timeout, "\\n")
end
"""


class LoadError(Exception):
    """Requests failed, or none was answered."""


class Measured(NamedTuple):
    """Measurements of a server in one round."""

    rate: float  # requests per second
    milliseconds: float  # median duration of a request
    cores: float  # processor cores used by the load generator


Load = Callable[[int, int], Measured]  # load something with a number of clients for a number of seconds


def require(*tools: str) -> None:
    """Exit if a load generator is not installed."""
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        raise SystemExit(f"install {' and '.join(missing)} first; Debian has them as nghttp2-client and wrk")


def measure(
    loads: Mapping[str, Load], clients: Sequence[int], seconds: int, failures: list[str], rounds: int = ROUNDS
) -> list[dict[str, list[Measured]]]:
    """Load targets in turn; return the rounds of each for each number of clients, after a second to warm up.

    A target that fails is left out, and added to `failures`.
    """
    warm_up = [1]
    columns = []
    for n in clients:
        results: dict[str, list[Measured]] = {title: [] for title in loads}
        for length in (*warm_up, *[seconds] * rounds):
            for title in list(results):
                try:
                    results[title].append(loads[title](n, length))
                except LoadError as error:
                    failures.append(f"{title}, {n} clients: {error}")
                    del results[title]
        columns.append({title: measured[len(warm_up) :] for title, measured in results.items()})
        warm_up = []
    return columns


def wrk(url: str, body: object, clients: int, seconds: int, *, key: str = "") -> Measured:
    """POST a body as JSON to an HTTP endpoint, optionally with an API key.

    Raises
    ------
    LoadError
        A request failed, or none was answered.
    """
    header = f'wrk.headers["authorization"] = "Bearer {key}"' if key else ""
    with TemporaryDirectory() as folder:
        script = Path(folder, "wrk.lua")
        script.write_text(_LUA % (header, json.dumps(body)), encoding="utf-8")
        output, busy = _run("wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", script, url)
    rate, milliseconds = parse_wrk(output)
    return Measured(rate, milliseconds, busy / seconds)


def parse_wrk(output: str) -> tuple[float, float]:
    """Return requests per second and the median in milliseconds, from the last line of wrk's output.

    Raises
    ------
    LoadError
        The output has errors, or no request.
    """
    requests, duration, middle, errors = map(float, output.splitlines()[-1].split())
    if errors or not requests:
        raise LoadError(f"{errors:.0f} requests failed, {requests:.0f} were answered")
    return requests / duration * 1e6, middle / 1e3


def h2load(url: str, message: bytes, answer: int, clients: int, seconds: int) -> Measured:
    """Call a gRPC method, whose answers have a known length in bytes.

    Raises
    ------
    LoadError
        A call failed, or none was answered.
    """
    with TemporaryDirectory() as folder:
        body, log = Path(folder, "request"), Path(folder, "log")
        body.write_bytes(b"\0" + len(message).to_bytes(4) + message)
        headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
        options = ("-t1", f"-c{clients}", "-m1", f"-D{seconds}", "-d", body, *headers, f"--log-file={log}")
        output, busy = _run("h2load", *options, url)
        durations = parse_h2load(output, log.read_text(encoding="utf-8"), answer)
    return Measured(len(durations) / seconds, median(durations) / 1e3, busy / seconds)


def parse_h2load(output: str, log: str, answer: int) -> list[int]:
    """Return the microseconds of every call, from h2load's output and log.

    Raises
    ------
    LoadError
        A call failed: a call without an answer leaves fewer bytes than all answers have.
    """
    durations = [int(line.split("\t")[2]) for line in log.splitlines()]
    received = re.search(r"\((\d+)\) data$", output, re.MULTILINE)
    complete = received and int(received[1]) >= len(durations) * (5 + answer)
    if not durations or not complete or not re.search(r" 0 failed, 0 errored, 0 timeout$", output, re.MULTILINE):
        counts = re.search(r"^requests: .*$", output, re.MULTILINE)
        raise LoadError(f"calls failed; h2load counted {counts[0] if counts else 'none'}")
    return durations


def _run(*command: str | Path) -> tuple[str, float]:
    """Run a load generator; return its output and its processor time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own commands
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise LoadError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
