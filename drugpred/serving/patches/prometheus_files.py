"""The files of the workers' metrics, which /metrics adds up: of one server, a fixed number, allocated in advance.

prometheus_client names the files after process ids and keeps those of ended processes, so each restart of a worker
makes the next scrape slower. Here they are named after the number of the worker: a new worker continues the counts of
the one that it replaces.

prometheus_client also allocates the space of a page when it is first written, and a full disk then ends the process
with SIGBUS. Here the space is allocated when a file is made, before a worker starts. A removed file is made again with
its counts. A metric that cannot be counted is logged, and does not make a request fail.
"""

from __future__ import annotations

import logging
import mmap
import os
import shutil
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

_ROOM: Final = 1 << 20  # bytes of a file: three times the largest need, as all label values are from closed lists

_IN_PROGRESS: Final = "gauge_livesum"
_KINDS: Final = ("counter", "histogram", "gauge_all", "gauge_mostrecent", _IN_PROGRESS)  # the files of a worker
_VALUE: Final = struct.Struct("dd")  # a value and its time, as prometheus_client writes them

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"

_RESTORE_SECONDS: Final = 1.0  # time between checks that a worker's files exist


def apply() -> None:
    """Make this process count in such files; call it before the first metric is defined."""
    if values.ValueClass is values.MutexValue:  # a single process
        return
    replace(values, "MmapedDict", _AllocatedDict)
    folder = Path(os.environ.get(_FOLDER, ""))
    worker = server_context.worker_index
    if worker is not None:
        make(folder, [worker])
        _empty(_path(folder, _IN_PROGRESS, worker))  # no request is in progress after a start
        values.ValueClass = values.MultiProcessValue(lambda: f"worker{worker}")  # type: ignore[no-untyped-call]
        threading.Thread(target=_keep_restoring, name="metrics files", daemon=True).start()
    elif not folder.is_dir():  # BentoML gives workers another folder
        values.ValueClass = values.MutexValue


def folder_of(server: str, folder: Path) -> Path:
    """Return an empty folder for the files of one server, given as HOST-PORT.

    BentoML gives all servers of a BENTOML_HOME the same folder, and each that starts deletes what the others count.

    Raises
    ------
    ConfigurationError
        The folder cannot be made.
    """
    own = folder.with_name(f"{folder.name}-{server}")
    try:
        if own.exists():
            shutil.rmtree(own)
        own.mkdir()
    except OSError as error:
        raise ConfigurationError(f"expected to be able to make {own} for metrics: {error.strerror}") from None
    return own


def make(folder: Path, workers: Iterable[int]) -> None:
    """Make the files of workers, unless they exist.

    Raises
    ------
    ConfigurationError
        There is no space for them, or the folder is not writable.
    """
    paths = [_path(folder, kind, worker) for worker in workers for kind in _KINDS]
    try:
        for path in paths:
            _make_room(path)
    except OSError as error:
        raise ConfigurationError(
            f"expected space for {len(paths)} files of metrics, {len(paths) * _ROOM >> 20} MB, in {folder}: "
            f"{error.strerror}"
        ) from None


def restore() -> None:
    """Make removed files again, with their counts."""
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
        """Return whether there is space for a series."""
        try:
            with self._lock:
                if self._used + len(key) * 4 + 64 > self._capacity:  # its size in the file may double
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
    begun = path.with_suffix(".new")  # nobody reads a file before its space is allocated
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
        file.write(bytes(8))  # the number of bytes in use


def _allocate(file: IO[bytes], size: int) -> None:
    """Allocate space on the disk for at least `size` bytes, and for the whole file."""
    end = file.seek(0, os.SEEK_END)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, max(end, size))
    else:  # macOS has no such call: written bytes are allocated
        file.write(bytes(max(0, size - end)))
        file.flush()
    file.seek(0)
