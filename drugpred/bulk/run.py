"""A whole run of `drugpred score`. If it is killed, the same command continues where it stopped."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from filelock import Timeout
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text
from typing_extensions import override

from drugpred.bulk import executors
from drugpred.bulk.output import check, finish, finished, prepare, totals
from drugpred.bulk.plan import Options, Plan, plan
from drugpred.bulk.storage import writing
from drugpred.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console
    from rich.progress import Task as Shown

    from drugpred.bulk.executors import Engine, Task
    from drugpred.bulk.sink import Record

__all__ = ["Options", "Plan", "Summary", "check", "plan", "score"]


class Summary(NamedTuple):
    """The result of a run."""

    scored: int
    """Number of scored rows."""
    rejected: int
    """Number of rejected rows."""
    faults: dict[str, int]
    """Number of faults in each column; of malformed lines, by the expected value."""
    rows: int
    """Number of rows that this run has read, without those of parts that were done before."""
    start: float
    """Seconds until the first worker was ready."""
    work: float
    """Seconds until all parts were done."""
    end: float
    """Seconds to join the parts, or to write the manifest of a data set."""


def score(
    planned: Plan,
    console: Console,
    engine: Engine = "local",
    cluster: str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> Summary:
    """Score every row of some files.

    The output has the id, or the line if there is no id, the columns to carry over, and a column of probabilities for
    each drug. Rows that cannot be scored are listed in a file next to it, if there are any. On request it has the
    bounds of each probability and the support of each person too, see `drugpred.schemas.column_names`.

    Parameters
    ----------
    planned : Plan
        Of `plan`.
    console : rich.console.Console
        Shows the progress.
    engine : str
        ``local``, ``processes`` or ``dask``.
    cluster : str, optional
        Address of a Dask scheduler.
    workers : int, optional
        Number of processes; by default one for each core.
    overwrite : bool
        Whether to replace an older output.

    Raises
    ------
    DataError
        A file cannot be read, or changes during the run.
    ConfigurationError
        Another run writes the same output, there is an older output, a file that no run has made is in the way, or the
        engine is not installed.
    OSError
        The output cannot be written.
    """
    begun = time.perf_counter()
    sink = planned.sink
    check(sink, overwrite)
    by_engine: dict[Engine, Callable[[Sequence[Task], Callable[[int], object]], Iterator[Record]]] = {
        "local": executors.run_locally,
        "processes": partial(executors.run_in_processes, workers=workers),
        "dask": partial(executors.run_on_dask, workers=workers, address=cluster),
    }
    try:
        with writing(sink.place, sink.name), sink.place.lock(f"{sink.folder}/lock"):
            prepare(sink, console)
            records = finished(planned)
            tasks = [task for task in planned.tasks if task.number not in records]
            ready = _score_parts(planned, tasks, by_engine[engine], records, console) if tasks else time.perf_counter()
            done = time.perf_counter()
            planned.require_unchanged()
            finish(planned, records)
    except Timeout:
        raise ConfigurationError(f"expected no other run with the output {sink.place.text(sink.name)}") from None
    seconds = ready - begun, done - ready, time.perf_counter() - done
    return Summary(*totals(records), sum(task.rows for task in tasks), *seconds)


def _score_parts(
    planned: Plan,
    tasks: Sequence[Task],
    run: Callable[[Sequence[Task], Callable[[int], object]], Iterator[Record]],
    records: dict[int, Record],
    console: Console,
) -> float:
    """Score parts, add their records, and return the time at which the first worker was ready."""
    columns = (TextColumn("scoring"), BarColumn(20), TaskProgressColumn(), _Rows(), TimeRemainingColumn())
    ready: list[float] = []
    with Progress(*columns, console=console) as progress:
        done = planned.rows - sum(task.rows for task in tasks)
        shown = progress.add_task("", total=planned.rows, completed=done)

        def advance(rows: int) -> None:
            if not ready:
                ready.append(time.perf_counter())
            progress.advance(shown, rows)

        for record in run(tasks, advance):
            records[record.number] = record
    return ready[0]


class _Rows(ProgressColumn):
    """The number of rows, and the rate."""

    @override
    def render(self, task: Shown) -> Text:
        rate = f", {task.speed:,.0f}/s" if task.speed else ""
        return Text(f"{task.completed:,.0f} rows{rate}")
