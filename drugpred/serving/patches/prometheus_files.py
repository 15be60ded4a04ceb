"""The files that workers count in, which /metrics adds up: no more than there are workers, and with room in them.

prometheus_client names them by the process and keeps those of the dead, so that each worker that is started again makes
the next scrape slower. Here they have the worker's number: who takes a place counts on in the files of the one before.

It also leaves it to the first write of each page to find room, and a full disk then ends the process by SIGBUS. Here
the room is taken when a file is made, which is before a worker starts; a file that is removed is made again with its
counts; and what cannot be counted is logged, and costs no answer.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
import threading
import time
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from bentoml import server_context
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

from drugpred.errors import ConfigurationError
from drugpred.monitoring.failure_log import FailureLog
from drugpred.serving.patches import replace

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

_ROOM: Final = 1 << 20  # bytes of each file: three times what the largest needs, as all labels are from closed lists

_IN_PROGRESS: Final = "gauge_livesum"
_KINDS: Final = ("counter", "histogram", "gauge_all", "gauge_mostrecent", _IN_PROGRESS)  # the files of one worker
_VALUE: Final = struct.Struct("dd")  # a value and its time, as prometheus_client writes them

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"

_RESTORE_SECONDS: Final = 1.0  # how often a worker looks whether its files are there


def apply() -> None:
    """Have this process count in such files from now on; to be called before the first metric is made."""
    if values.ValueClass is values.MutexValue:  # there is but this process
        return
    replace(values, "MmapedDict", _AllocatedDict)
    folder = Path(os.environ.get(_FOLDER, ""))
    worker = server_context.worker_index
    if worker is not None:
        make(folder, [worker])
        _empty(_path(folder, _IN_PROGRESS, worker))  # what was in progress is no longer
        values.ValueClass = values.MultiProcessValue(lambda: f"worker{worker}")  # type: ignore[no-untyped-call]
        threading.Thread(target=_keep_restoring, name="metrics files", daemon=True).start()
    elif not folder.is_dir():  # BentoML gives workers another one
        values.ValueClass = values.MutexValue


def make(folder: Path, workers: Iterable[int]) -> None:
    """Make the files of workers, unless they are there.

    Raises
    ------
    ConfigurationError
        There is no room for them, or the folder cannot be written to.
    """
    paths = [_path(folder, kind, worker) for worker in workers for kind in _KINDS]
    try:
        for path in paths:
            _make_room(path)
    except OSError as error:
        raise ConfigurationError(
            f"expected {len(paths) * _ROOM >> 20} MB and {len(paths)} files of room in {folder} for the metrics of "
            f"the workers: {error.strerror}"
        ) from None


def restore() -> None:
    """Make the files again that were removed, with what they had counted."""
    for each in list(_AllocatedDict.opened):
        try:
            each.restore()
        except OSError as error:
            _restoring.failed(f"metrics are not shown: {each.path} was removed and cannot be written: {error.strerror}")
            return
    _restoring.worked()


_restoring: Final = FailureLog(logger, "metrics are shown again")


def _path(folder: Path, kind: str, worker: int) -> Path:
    return folder / f"{kind}_worker{worker}.db"


def _keep_restoring() -> None:
    while True:
        time.sleep(_RESTORE_SECONDS)
        restore()


class _AllocatedDict(MmapedDict):
    opened: Final[weakref.WeakSet[_AllocatedDict]] = weakref.WeakSet()

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        self.path = Path(filename)
        self._lock = threading.Lock()
        self._full = False
        if not read_mode:
            _make_room(self.path)
            self.opened.add(self)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def read_value(self, key: str) -> tuple[float, float]:
        if key in self._positions or self._take(key):
            value: tuple[float, float] = super().read_value(key)  # type: ignore[no-untyped-call]
            return value
        return 0.0, 0.0

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        if key in self._positions or self._take(key):
            at = self._positions[key]
            self._m[at : at + _VALUE.size] = _VALUE.pack(value, timestamp)

    def restore(self) -> None:
        if self._f is None or self.path.exists():
            return
        with self._lock:
            _make_room(self.path, self._m[:])
            self._f.close()
            self._f = self.path.open("r+b")
            self._m = mmap.mmap(self._f.fileno(), self._capacity)

    def _take(self, key: str) -> bool:
        """Return whether there is room for a series."""
        try:
            with self._lock:
                if self._used + len(key) * 4 + 64 > self._capacity:  # it may be doubled
                    _allocate(self._f, 2 * self._capacity)
                self._init_value(key)  # type: ignore[no-untyped-call]
        except OSError as error:
            if not self._full:
                logger.warning("some metrics are not counted: no room in %s: %s", self.path, error.strerror)
            self._full = True
            return False
        return True


def _make_room(path: Path, content: bytes = b"") -> None:
    if path.exists():
        with path.open("r+b") as file:
            _allocate(file, _ROOM)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_suffix(".new")  # nobody reads a file without its room
    try:
        with begun.open("wb") as file:
            _allocate(file, max(len(content), _ROOM))
            file.write(content)
        begun.rename(path)
    except OSError:
        begun.unlink(missing_ok=True)
        raise


def _empty(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(8))  # how much of it is used


def _allocate(file: IO[bytes], size: int) -> None:
    """Take room on the disk for the first bytes of a file, and for all that it has."""
    end = file.seek(0, os.SEEK_END)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, max(end, size))
    else:  # macOS has none: what is written has its room
        file.write(bytes(max(0, size - end)))
        file.flush()
    file.seek(0)
