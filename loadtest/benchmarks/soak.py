"""Load a service for a long time, and report growth: python -m loadtest.benchmarks.soak --minutes 60.

Starts a service and sends valid requests over HTTP and gRPC (loadtest/locustfile.py), feedback over new connections,
and each minute a round of bad requests (loadtest/fuzz), at a moderate rate. Every few seconds it measures each worker.
After a warm-up the last third of the time is compared with the second: the median memory may grow by the larger of 3 %
and 3 MB, the lowest number of open files, connections and threads by 8. Larger growth and failed requests are listed at
the end, and then the exit status is 1. Disk use is only shown: used feedback ids are stored for 90 days.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from statistics import linear_regression, median
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx
import psutil

from loadtest.benchmarks.generators import LoadError
from loadtest.harness.payloads import PROFILES
from loadtest.harness.servers import ROOT, exit_on_error, newest_model, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from loadtest.harness.servers import Service

USERS: Final = "10"  # users of the locustfile, each with ten requests per second
BAD: Final = "1000"  # requests of a round of bad ones
_WARM_UP: Final = 30.0
_ROUND: Final = 60.0
_INTERVAL: Final = 3.0
_PAUSE: Final = 0.5
_TIMEOUT: Final = 60.0
"""Seconds: of the warm-up, between rounds, between measurements, between two predictions that get feedback, and until a
process must have ended."""

_MAX_SHARE: Final = 0.03
_MAX_MB: Final = 3.0
_MAX_NUMBER: Final = 8
"""Allowed growth from the second third to the last: memory by a share or MB, other quantities by a number."""


class Sample(NamedTuple):
    """A measurement of a process, or of the server's folder."""

    pid: int
    hours: float
    values: dict[str, float]  # by quantity


class Growth(NamedTuple):
    """The change of a quantity since the warm-up."""

    pid: int
    what: str
    second: float
    """In the second third of the time: the median of memory and disk, the lowest of the numbers, which vary with the
    rounds of bad requests."""
    last: float  # the same in the last third
    per_hour: float  # fitted to both thirds, by least squares

    @property
    def is_leak(self) -> bool:
        """Whether it grew by more than chance explains."""
        more = self.last - self.second
        if self.what == "USS MB":  # shared memory is not counted for a process
            return more > max(_MAX_MB, _MAX_SHARE * self.second)
        return not self.what.endswith("MB") and more > _MAX_NUMBER


@exit_on_error()
def main() -> None:
    """Load, measure and print."""
    parser = argparse.ArgumentParser(description="Load a service for long, and show what grows.")
    parser.add_argument(
        "--minutes", type=float, default=60, help="minutes of load after the warm-up (default: %(default)s)"
    )
    seconds = 60 * parser.parse_args().minutes
    if seconds < 30 * _INTERVAL:
        parser.error("expected at least 1.5 minutes: shorter thirds show nothing")
    samples, failures = soak(seconds)
    changes = growths(samples)
    print(table(changes))
    failures += wrong(changes)
    if failures:
        print("\nWrong:", *failures, sep="\n")
        raise SystemExit(1)


def soak(seconds: float) -> tuple[list[Sample], list[str]]:
    """Load a service of the newest stored model; return the measurements and the failures.

    Raises
    ------
    StoredModelError
        There is no stored model.
    ServerError
        The service does not start.
    """
    failures: list[str] = []
    with serve(newest_model()) as server:
        with (
            _running("valid requests", failures, partial(_valid, server)),
            _running("bad requests", failures, partial(_bad, server)),
            _running("feedback", failures, partial(_feedback, server)),
        ):
            time.sleep(_WARM_UP)
            workers = server.workers()
            samples = list(_read(workers, server.home, seconds))
        if server.workers() != workers:
            failures.append("a worker ended")
    return samples, failures


@contextmanager
def _running(title: str, failures: list[str], drive: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run a client of the service in a thread, until the end."""
    ended = threading.Event()

    def run() -> None:
        try:
            drive(ended)
        except Exception as error:  # noqa: BLE001 - without one that ends early, the soak shows nothing
            failures.append(f"{title}: {error}")

    thread = threading.Thread(target=run, name=title)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _valid(server: Service, ended: threading.Event) -> None:
    """Run locust's users."""
    command = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "MixedUser", "GrpcUser", "--headless"]
    command += ["--only-summary", "--host", server.url, "--grpc-port", str(server.grpc_port), "-u", USERS, "-r", USERS]
    with TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)  # noqa: S603 - our own
        ended.wait()
        process.terminate()  # its exit status and output show failures
        try:
            process.wait(_TIMEOUT)
        finally:
            process.kill()  # it may hang as it ends, and would run on
        if process.returncode:
            log.seek(0)
            raise LoadError(f"locust ended with {process.returncode}\n{log.read()[-3000:]}")


def _bad(server: Service, ended: threading.Event) -> None:
    """Send a round of bad requests each minute, each with another seed."""
    command = [sys.executable, "-m", "loadtest.fuzz", "--http", server.url, "--grpc", server.address]
    for seed in count(1):
        begun = time.monotonic()
        ask = [*command, "--requests", BAD, "--seed", str(seed)]
        done = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        if done.returncode:
            raise LoadError(f"seed {seed}\n{(done.stdout + done.stderr)[-3000:]}")
        if ended.wait(max(0.0, _ROUND - (time.monotonic() - begun))):
            return


def _feedback(server: Service, ended: threading.Event) -> None:
    """Request predictions and report outcomes, over a new connection each time."""
    while not ended.wait(_PAUSE):
        with httpx.Client(base_url=server.url, timeout=_TIMEOUT) as client:
            answer = client.post("/predict", content=PROFILES[0]).raise_for_status().json()
            outcomes = {"prediction_id": answer["prediction_id"], "outcomes": {"cannabis": True}}
            client.post("/feedback", json=outcomes).raise_for_status()


def _read(workers: Sequence[psutil.Process], home: Path, seconds: float) -> Iterator[Sample]:
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        disk = sum(path.lstat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
        for worker in workers:
            with suppress(psutil.NoSuchProcess):  # reported at the end
                memory = worker.memory_full_info()
                values = {
                    "RSS MB": memory.rss / 1e6,
                    "USS MB": memory.uss / 1e6,
                    "open files": float(worker.num_fds()),
                    "connections": float(len(worker.net_connections())),
                    "threads": float(worker.num_threads()),
                    "disk MB": disk,
                }
                yield Sample(worker.pid, passed / 3600, values)
        time.sleep(_INTERVAL)


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Return the change of each quantity of each process from the second third of the time to the last."""
    changes = []
    for pid in dict.fromkeys(sample.pid for sample in samples):
        readings = [sample for sample in samples if sample.pid == pid]
        third = len(readings) // 3
        settled = readings[third:]
        for what in readings[0].values:
            values = [sample.values[what] for sample in settled]
            slope, _ = linear_regression([sample.hours for sample in settled], values)
            last = len(values) - third
            typical = median if what.endswith("MB") else min
            changes.append(Growth(pid, what, typical(values[:last]), typical(values[last:]), slope))
    return changes


def table(changes: Sequence[Growth]) -> str:
    """Return a table of the quantities of each process."""
    lines = [f"{'worker':>8}  {'':12}{'second third':>14}{'last third':>14}{'per hour':>12}"]
    lines += [f"{one.pid:8}  {one.what:12}{one.second:14.1f}{one.last:14.1f}{one.per_hour:+12.1f}" for one in changes]
    return "\n".join(lines)


def wrong(changes: Sequence[Growth]) -> list[str]:
    """Return the growth that chance does not explain, a line each."""
    return [
        f"worker {one.pid}: {one.what} grew from {one.second:.1f} to {one.last:.1f}" for one in changes if one.is_leak
    ]


if __name__ == "__main__":
    main()
