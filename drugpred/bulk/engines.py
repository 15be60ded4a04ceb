"""Where the parts of a run are worked on: here, one after the other, or on a cluster."""

# Dask declares that it has types, and lacks most of them.
# mypy: disallow-untyped-calls=false

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from drugpred.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from distributed import Client

    from drugpred.bulk.job import Job

__all__ = ["on_dask", "on_this_core"]


def on_this_core(job: Job, parts: Sequence[int], advance: Callable[[int], object]) -> None:
    """Work on parts one after the other."""
    for number in parts:
        job.run(number, advance)


def on_dask(job: Job, parts: Sequence[int], advance: Callable[[int], object], address: str | None = None) -> None:
    """Work on parts with Dask, which gives the part of a lost worker to another.

    Parameters
    ----------
    job : Job
    parts : sequence of int
    advance : callable
    address : str, optional
        Of a scheduler, whose workers have this package installed and find the same files below the same paths;
        without it, one process for each core of this machine is started.

    Raises
    ------
    ConfigurationError
        Dask is not installed, or no scheduler answers there.
    DataError
        The file cannot be read.
    OSError
        A part cannot be written.
    """
    with _client(address) as client:
        from distributed import as_completed

        shared = client.scatter(job, broadcast=True)
        futures = {client.submit(_run, shared, number, pure=False): number for number in parts}
        for future in as_completed(futures):
            future.result()
            advance(job.source.parts[futures[future]].size)


def _run(job: Job, number: int) -> None:
    job.run(number)


@contextmanager
def _client(address: str | None) -> Iterator[Client]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ConfigurationError("expected Dask: pip install 'drugpred[bulk,dask]'") from None
    if address is None:
        with LocalCluster(threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"expected a Dask scheduler at {address}") from error
    with client:
        yield client
