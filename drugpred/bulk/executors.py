"""Executors that score the parts of a file: in this process, or on a Dask cluster."""

# Dask claims to be typed, and lacks most types.
# mypy: disallow-untyped-calls=false

from __future__ import annotations

import logging
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from drugpred.errors import ConfigurationError, interrupted_later, needs, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from distributed import Client

    from drugpred.bulk.job import Job

_WORKER_TIMEOUT: Final = 10  # seconds to wait for the first worker

_LOST: Final = (
    "Dask lost the workers of a part repeatedly: they may have been killed for their memory. Finished parts are kept;"
    " the same command continues from there"
)


def run_locally(job: Job, parts: Sequence[int], advance: Callable[[int], object]) -> None:
    """Score parts one after the other."""
    for number in parts:
        job.score_part(number, advance)


def run_on_dask(job: Job, parts: Sequence[int], advance: Callable[[int], object], address: str | None = None) -> None:
    """Score parts with Dask, which moves the part of a lost worker to another one.

    Parameters
    ----------
    job : Job
    parts : sequence of int
    advance : callable
    address : str, optional
        Address of a scheduler whose workers have this package installed and the same files under the same paths; by
        default one process for each core of this machine is started.

    Raises
    ------
    ConfigurationError
        Dask is not installed, no scheduler answers, it has no workers, or workers are lost repeatedly.
    DataError
        The file cannot be read.
    OSError
        A part cannot be written.
    """
    with needs("bulk,dask"):
        from distributed import as_completed
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker
    with _client(address) as client:
        # Each future carries the job, a few kB, so that it can be repeated after all workers were lost.
        futures = {client.submit(_run, job, number, pure=False): number for number in parts}
        for future in as_completed(futures):
            try:
                future.result()
            except (KilledWorker, FutureCancelledError):
                raise ConfigurationError(_LOST) from None
            advance(job.source.parts[futures[future]].size)


def _run(job: Job, number: int) -> None:
    job.score_part(number)


@contextmanager
def _client(address: str | None) -> Iterator[Client]:
    from distributed import Client, LocalCluster

    if address is None:
        try:
            with interrupted_later():
                cluster = LocalCluster(
                    threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
                )
        except Exception as error:
            raise ConfigurationError(f"Dask could not start workers on this machine: {reason(error)}") from error
        with cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"expected a Dask scheduler at {address}") from error
    with client:
        try:
            client.wait_for_workers(1, _WORKER_TIMEOUT)
        except TimeoutError:
            raise ConfigurationError(f"expected at least one worker at the Dask scheduler {address}") from None
        lacking = [worker for worker, found in client.run(find_spec, "drugpred").items() if found is None]
        if lacking:
            raise ConfigurationError(
                f"expected this package on all Dask workers, it is missing on {', '.join(lacking)}"
            )
        yield client
