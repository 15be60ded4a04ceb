"""The files in the place of an output: who made them, and which parts are done.

The folder OUT.parts belongs to one run: the same content of the input, the same model and the same options. The parts
of another run that was not finished are removed, with a line on the console. An older output is replaced on request
only; a run that was begun on request is continued without. Any file or folder that no run has made is an error.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from drugpred import __version__
from drugpred.bulk.sink import MARK_START
from drugpred.bulk.storage import LocalPlace, location, writing
from drugpred.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from rich.console import Console

    from drugpred.bulk.plan import Plan
    from drugpred.bulk.sink import Record, Sink

_THREADS: Final = 16  # that wait for the storage
_UNFINISHED: Final = r"\.[0-9a-f]{32}"
_OWN: Final = re.compile(
    rf"lock|run\.json|[0-9]{{6,}}((\.rejected)?\.csv|\.parquet|\.json)|joined\.(parquet|csv)|.+{_UNFINISHED}", re.DOTALL
)
"""Names of the files in OUT.parts."""
_BEGUN: Final = re.compile(rf"lock|run\.json{_UNFINISHED}")
"""Names of the files of a run that was killed before it marked the folder."""
_PART: Final = re.compile(r"part-[0-9]{5,}\.(parquet|csv)")
"""Names of the files of a data set."""


def check(sink: Sink, overwrite: bool) -> None:
    """Raise `ConfigurationError` if writing would overwrite an older output, or a file that no run has made."""
    place = sink.place
    if isinstance(place, LocalPlace):
        _check_kinds(sink, place.folder)
    with writing(place, sink.name):
        _check_older(sink, overwrite)


def _check_older(sink: Sink, overwrite: bool) -> None:
    place, files = sink.place, _files(sink)
    mark = (place.read(sink.marker) or b"").decode(errors="replace")
    begun = all(_BEGUN.fullmatch(path.removeprefix(f"{sink.folder}/")) for path in files[sink.folder])
    if not mark.startswith(MARK_START) and not begun:
        raise _foreign(sink, sink.folder)
    if overwrite or mark == sink.mark:
        return
    if sink.format and isinstance(place, LocalPlace):
        older = [name for name in (sink.name, sink.rejected) if (place.folder / name).exists()]
    else:
        older = [sink.manifest] * (place.read(sink.manifest) is not None)
        if not mark:  # otherwise they are parts of a run that was not finished
            older += [folder for folder in (sink.name, sink.rejected) if files[folder]]
    if older:
        raise ConfigurationError(f"expected no older output, found {place.text(older[0])}: --overwrite replaces it")


def _check_kinds(sink: Sink, folder: Path) -> None:
    """Raise `ConfigurationError` if something else is in the place of a file or a folder of this machine."""
    files, folders = ([sink.name, sink.rejected], [sink.folder])
    if not sink.format:
        files, folders = [sink.manifest], [sink.folder, sink.rejected]
    for path in (folder / name for name in files):
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"expected {sink.place.text(path.name)} to be a regular file, or missing")
    for path in (folder / name for name in folders):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise _foreign(sink, path.name)
    start = MARK_START.encode() if not sink.format else sink.header
    path = folder / files[-1]
    if path.exists():
        with path.open("rb") as content:
            if content.read(len(start)) != start:
                raise ConfigurationError(f"expected {sink.place.text(path.name)} to be from an earlier run, or missing")


def _files(sink: Sink) -> dict[str, dict[str, int]]:
    """Return the sizes of all files in the folders of a run, or raise `ConfigurationError` if it has not made one."""
    patterns = {sink.folder: _OWN} if sink.format else {sink.folder: _OWN, sink.name: _PART, sink.rejected: _PART}
    files = {folder: sink.place.sizes(folder) for folder in patterns}
    for folder, pattern in patterns.items():
        if not all(pattern.fullmatch(path.removeprefix(f"{folder}/")) for path in files[folder]):
            raise _foreign(sink, folder)
    return files


def _foreign(sink: Sink, folder: str) -> ConfigurationError:
    return ConfigurationError(f"expected {sink.place.text(folder)} to be a folder from an earlier run, or missing")


def prepare(sink: Sink, console: Console) -> None:
    """Remove an older data set and the parts of any other run, and mark the folder for this one."""
    place = sink.place
    mark = place.read(sink.marker)
    if mark == sink.mark.encode():
        return
    if mark is not None:
        console.print(
            f"{place.text(sink.folder)} belonged to another input, model or options: its parts are removed",
            markup=False,
        )
    files = _files(sink)
    if not sink.format:
        place.delete(sink.manifest)
        for folder in (sink.name, sink.rejected):
            place.remove(folder, files[folder])
    _remove_own(sink, files[sink.folder])
    with place.write(sink.marker) as content:
        content.write(sink.mark.encode())


def _remove_own(sink: Sink, files: Collection[str]) -> None:
    # Records first: a part without a record is not done, if this is killed.
    others = sorted({*files} - {f"{sink.folder}/lock", sink.marker}, key=lambda path: not path.endswith(".json"))
    sink.place.remove(sink.folder, others)


def finished(plan: Plan) -> dict[int, Record]:
    """Return the records of all parts that are done and still complete, by number."""
    sink = plan.sink
    sizes = _sizes(sink)
    numbers = [task.number for task in plan.tasks if sink.record_path(task.number) in sizes]
    with ThreadPoolExecutor(_THREADS) as pool:
        records = dict(zip(numbers, pool.map(sink.record, numbers), strict=True))
    return {number: record for number, record in records.items() if record and _is_complete(sink, record, sizes)}


def _sizes(sink: Sink) -> dict[str, int]:
    folders = [sink.folder] if sink.format else [sink.folder, sink.name, sink.rejected]
    return {path: size for folder in folders for path, size in sink.place.sizes(folder).items()}


def _is_complete(sink: Sink, record: Record, sizes: Mapping[str, int]) -> bool:
    paths = sink.path(record.number), sink.rejected_path(record.number)
    return [sizes.get(path, 0) for path in paths] == list(record.sizes)


def finish(plan: Plan, records: dict[int, Record]) -> None:
    """Join the parts, or write the manifest of a data set, and remove the folder of the run.

    Raises
    ------
    ConfigurationError
        A part was changed or removed.
    """
    sink, place = plan.sink, plan.sink.place
    if not sink.format and not records:
        records = {0: sink.write(0, [])}  # so that the data set has columns
    sizes = _sizes(sink)
    for record in records.values():
        if not _is_complete(sink, record, sizes):
            raise ConfigurationError(f"expected {place.text(sink.path(record.number))} not to change")
    if sink.format and isinstance(place, LocalPlace):
        sink.join(place.folder, len(records), sum(record.rejected for record in records.values()))
    else:
        place.remove(sink.rejected, [])  # the folder, if it is empty
        with place.write(sink.manifest) as content:
            content.write(json.dumps(_manifest(plan, records)).encode())
    own = [path for path in place.sizes(sink.folder) if _OWN.fullmatch(path.removeprefix(f"{sink.folder}/"))]
    last = sink.marker, f"{sink.folder}/lock"  # other files without the mark would belong to no run
    place.remove(sink.folder, sorted(own, key=lambda path: last.index(path) if path in last else -1))


def totals(records: Mapping[int, Record]) -> tuple[int, int, dict[str, int]]:
    """Return the numbers of scored and rejected rows, and of faults by column."""
    faults: Counter[str] = Counter()
    for _, record in sorted(records.items()):
        faults.update(record.faults)
    scored, rejected = (
        sum(column) for column in zip((0, 0), *((r.scored, r.rejected) for r in records.values()), strict=True)
    )
    return scored, rejected, dict(faults)


def _manifest(plan: Plan, records: Mapping[int, Record]) -> dict[str, Any]:
    scored, rejected, faults = totals(records)
    tasks = {task.number: task for task in plan.tasks}
    mark: dict[str, Any] = json.loads(plan.sink.mark)
    return mark | {
        "model": plan.model,
        "options": plan.options._asdict(),
        "versions": {"drugpred": __version__, **{name: version(name) for name in ("numpy", "pyarrow")}},
        "columns": plan.sink.schema.names,
        "scored": scored,
        "rejected": rejected,
        "faults": faults,
        "parts": [
            {
                "path": plan.sink.path(number),
                "input": location(tasks[number].job.source.path) if number in tasks else None,
                "scored": record.scored,
                "rejected": record.rejected,
                "bytes": record.sizes[0],
            }
            for number, record in sorted(records.items())
        ],
    }
