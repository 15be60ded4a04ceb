"""Load on a server: wrk for HTTP and h2load for gRPC, each with one thread.

Every client is a connection with one request at a time.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LoadError", "Measured", "h2load", "said_by_h2load", "said_by_wrk", "wrk"]

# What wrk sends, and what it prints at the end.
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
    """What one server did in one round."""

    rate: float
    """Requests a second."""
    milliseconds: float
    """Median of what a request took."""
    cores: float
    """Processors that the load generator kept busy."""


def wrk(url: str, body: object, folder: Path, clients: int, seconds: int, *, key: str = "") -> Measured:
    """POST a body as JSON to an HTTP endpoint from so many clients for so many seconds, maybe with an API key.

    Raises
    ------
    LoadError
        A request failed, or none was answered.
    """
    script = folder / "wrk.lua"
    header = f'wrk.headers["authorization"] = "Bearer {key}"' if key else ""
    script.write_text(_LUA % (header, json.dumps(body)), encoding="utf-8")
    said, busy = _run("wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", script, url)
    rate, milliseconds = said_by_wrk(said)
    return Measured(rate, milliseconds, busy / seconds)


def said_by_wrk(said: str) -> tuple[float, float]:
    """Return requests a second and the median of milliseconds from the last line that our script has wrk print.

    Raises
    ------
    LoadError
        It counts errors, or no request.
    """
    requests, duration, middle, errors = map(float, said.splitlines()[-1].split())
    if errors or not requests:
        raise LoadError(f"{errors:.0f} requests failed, {requests:.0f} were answered")
    return requests / duration * 1e6, middle / 1e3


def h2load(url: str, message: bytes, answer: int, folder: Path, clients: int, seconds: int) -> Measured:
    """Call a gRPC method, whose answers are of a known length, from so many clients for so many seconds.

    Raises
    ------
    LoadError
        A call failed, or none was answered.
    """
    body, log = folder / "request", folder / "h2load.log"
    body.write_bytes(b"\0" + len(message).to_bytes(4) + message)
    log.write_text("")
    headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    options = ("-t1", f"-c{clients}", "-m1", f"-D{seconds}", "-d", body, *headers, f"--log-file={log}")
    said, busy = _run("h2load", *options, url)
    took = said_by_h2load(said, log.read_text(encoding="utf-8"), answer)
    return Measured(len(took) / seconds, median(took) / 1e3, busy / seconds)


def said_by_h2load(said: str, log: str, answer: int) -> list[int]:
    """Return the microseconds of every call, from h2load's report and log.

    Raises
    ------
    LoadError
        A call failed: its status comes without an answer, so that fewer bytes came than the calls' answers have.
    """
    took = [int(line.split("\t")[2]) for line in log.splitlines()]
    received = re.search(r"\((\d+)\) data$", said, re.MULTILINE)
    whole = received and int(received[1]) >= len(took) * (5 + answer)
    if not took or not whole or not re.search(r" 0 failed, 0 errored, 0 timeout$", said, re.MULTILINE):
        counts = re.search(r"^requests: .*$", said, re.MULTILINE)
        raise LoadError(f"calls failed; h2load counted {counts[0] if counts else 'none'}")
    return took


def _run(*command: str | Path) -> tuple[str, float]:
    """Run a load generator; return what it says, and the seconds of processor that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own commands
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise LoadError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
