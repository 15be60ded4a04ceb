"""Executors that score parts: in this process, in processes of this machine, or on a Dask cluster."""

# Dask claims to be typed, and lacks most types.
# mypy: disallow-untyped-calls=false

from __future__ import annotations

import logging
import multiprocessing
import os
import traceback
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from drugpred.errors import ConfigurationError, interrupted_later, needs, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

    from distributed import Client

    from drugpred.bulk.job import Job
    from drugpred.bulk.sink import Record

Engine = Literal["local", "processes", "dask"]

_WORKER_TIMEOUT: Final = 10  # seconds to wait for the first worker

_LOST: Final = (
    "the workers of a part were lost: they may have been killed for their memory. Finished parts are kept;"
    " the same command continues from there"
)


class Task(NamedTuple):
    """A part to score."""

    job: Job
    number: int

    @property
    def rows(self) -> int:
        """Number of lines or rows."""
        return self.job.source.parts[self.number - self.job.first].size


def run_locally(tasks: Sequence[Task], advance: Callable[[int], object]) -> Iterator[Record]:
    """Score parts one after the other."""
    advance(0)
    for job, number in tasks:
        yield job.score_part(number, advance)


@cache
def context(engine: Engine) -> SpawnContext | ForkServerContext:
    """Return the way to start processes, and begin to start the first, which imports all that each of them needs."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["drugpred.bulk.job", *(["distributed"] if engine == "dask" else [])])
    with interrupted_later():
        forkserver.ensure_running()
    return made


def run_in_processes(
    tasks: Sequence[Task], advance: Callable[[int], object], workers: int | None = None
) -> Iterator[Record]:
    """Score parts in processes of this machine.

    Parameters
    ----------
    tasks : sequence of Task
    advance : callable
        Called with the number of rows since the last call; with 0 when the first worker is ready.
    workers : int, optional
        Number of processes; by default one for each core.

    Raises
    ------
    ConfigurationError
        A worker is lost.
    DataError
        A file cannot be read.
    OSError
        A part cannot be written.
    """
    from multiprocessing.connection import wait

    waiting = iter(tasks)
    processes: dict[Connection, BaseProcess] = {}
    try:
        with interrupted_later():
            for _ in range(min(workers or n_cores(), len(tasks))):
                connection, other = context("processes").Pipe()
                processes[connection] = context("processes").Process(target=_work, args=(other,), daemon=True)
                processes[connection].start()
                other.close()
        while processes:
            for connection in [one for one in wait(processes) if one in processes]:
                answer = connection.recv()
                if isinstance(answer, Exception):
                    raise answer
                if isinstance(answer, int):
                    advance(answer)
                    continue
                if answer is not None:
                    yield answer
                if task := next(waiting, None):
                    connection.send(task)
                else:
                    connection.close()
                    del processes[connection]
    except (EOFError, ConnectionError):
        raise ConfigurationError(_LOST) from None
    finally:
        for process in processes.values():
            process.terminate()


def _work(connection: Connection) -> None:
    """Score the parts that arrive, on one core, until there are no more or the parent process ends."""
    from multiprocessing.connection import wait
    from threading import Thread

    import pyarrow as pa

    def end() -> None:
        if parent := multiprocessing.parent_process():
            wait([parent.sentinel])
        os._exit(1)

    pa.set_cpu_count(1)
    Thread(target=end, daemon=True).start()
    connection.send(0)
    answer: Record | Exception | None = None
    with suppress(EOFError):
        while True:
            connection.send(answer)
            job, number = connection.recv()
            try:
                answer = job.score_part(number, connection.send)
            except Exception as error:  # noqa: BLE001 - the parent process raises it
                error.add_note(traceback.format_exc())
                answer = error


def n_cores() -> int:
    """Return the number of cores that this process may use, within the limit of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # there is no file, or its limit is "max"
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split())
        cores = min(cores, -(-quota // period))
    return cores


def run_on_dask(
    tasks: Sequence[Task], advance: Callable[[int], object], workers: int | None = None, address: str | None = None
) -> Iterator[Record]:
    """Score parts with Dask, which moves the part of a lost worker to another one.

    Parameters
    ----------
    tasks : sequence of Task
    advance : callable
        Called with the number of rows since the last call; with 0 when the first worker is ready.
    workers : int, optional
        Number of processes to start; by default one for each core.
    address : str, optional
        Address of a scheduler whose workers have this package installed and the same files under the same paths; by
        default workers are started on this machine.

    Raises
    ------
    ConfigurationError
        Dask is not installed, no scheduler answers, it has no workers, it ends, or workers are lost repeatedly.
    DataError
        A file cannot be read.
    OSError
        A part cannot be written.
    """
    with needs("bulk,dask"):
        from distributed import as_completed
        from distributed.client import FutureCancelledError
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker
    try:
        with _client(address, workers) as client:
            advance(0)
            # Each future carries its job, a few kB, so that it can be repeated after all workers were lost.
            futures = {client.submit(_run, *task, pure=False): task.rows for task in tasks}
            for future in as_completed(futures):
                yield future.result()
                advance(futures[future])
    except (KilledWorker, FutureCancelledError, CommClosedError):
        raise ConfigurationError(_LOST) from None


def _run(job: Job, number: int) -> Record:
    return job.score_part(number)


@contextmanager
def _client(address: str | None, workers: int | None) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    if address is None:
        method = context("dask").get_start_method()
        try:
            with interrupted_later(), dask.config.set({"distributed.worker.multiprocessing-method": method}):
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
        except Exception as error:
            raise ConfigurationError(f"Dask could not start workers on this machine: {reason(error)}") from error
        with cluster, Client(cluster) as client:
            yield client
        return
    client = Client.__new__(Client)
    try:
        Client.__init__(client, address)
    except Exception as error:
        # If it stayed open, and was collected in the thread of a new event loop, Dask would wait for itself.
        with suppress(AttributeError):  # it failed before it had a state
            client.close()
        raise ConfigurationError(f"expected a Dask scheduler at {address}: {reason(error)}") from error
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
