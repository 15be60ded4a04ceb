"""The files that workers count in, which /metrics adds up: no more than there are workers, and with room in them.

prometheus_client names them by the process and keeps those of the dead, so that each worker that is started again makes
the next scrape slower. Here they have the worker's number: who takes a place counts on in the files of the one before.

It also leaves it to the first write of each page to find room, and a full disk then ends the process by SIGBUS. Here
the room is taken when a file is opened, and what there is none for is an OSError.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Final

from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.context import server_context
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

from drugpred.errors import ConfigurationError

__all__ = ["check", "install"]

_ROOM: Final = 1 << 20
"""Bytes of each file: three times what the largest needs, as all labels are from closed lists."""

_FILES: Final = 5
"""Of one worker: counters, histograms, and three sorts of gauges."""


def install() -> None:
    """Have this process count in such files from now on; to be called before the first metric is made."""
    if values.ValueClass is values.MutexValue:  # there is but this process
        return
    values.MmapedDict = _WithRoom  # type: ignore[attr-defined]
    worker = server_context.worker_index
    if worker is not None:
        name = f"worker{worker}"
        mark_process_dead(name)  # type: ignore[no-untyped-call]  # what was in progress is no longer
        values.ValueClass = values.MultiProcessValue(partial(_identifier, name, os.getpid()))  # type: ignore[no-untyped-call]


def check() -> None:
    """Check that a worker would have room.

    Raises
    ------
    ConfigurationError
        There is none, or no folder can be written to.
    """
    folder = Path(BentoMLContainer.prometheus_multiproc_dir.get())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        folder = Path(gettempdir())  # as BentoML does
    try:
        with TemporaryFile(dir=folder) as probe:
            os.posix_fallocate(probe.fileno(), 0, _FILES * _ROOM)
    except OSError as error:
        raise ConfigurationError(
            f"expected {_FILES * _ROOM >> 20} MB of room in {folder} for the metrics of a worker: {error.strerror}"
        ) from None


def _identifier(name: str, process: int) -> str:
    return name if os.getpid() == process else str(os.getpid())  # a process that is forked has files of its own


class _WithRoom(MmapedDict):
    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            _make_room(filename)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + len(key) * 4 + 64 > self._capacity:  # it may be doubled
            os.posix_fallocate(self._f.fileno(), 0, 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _make_room(filename: str) -> None:
    path = Path(filename)
    if path.exists():
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, max(path.stat().st_size, _ROOM))
        return
    begun = path.with_suffix(".new")  # nobody reads a file without its room
    with begun.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, _ROOM)
    begun.rename(path)
