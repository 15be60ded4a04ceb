"""A thread that writes a worker's log, so that requests continue if nobody reads it."""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from typing import Final

from typing_extensions import override

_MAX: Final = 10_000  # lines that wait; further ones are dropped
_END_SECONDS: Final = 2.0  # how long the end of a worker waits for them


class _Queue(QueueHandler):
    def __init__(self, handler: logging.Handler) -> None:
        super().__init__(queue.Queue(_MAX))
        self.filters = handler.filters  # filters add facts of the thread that logs
        handler.filters = []
        self.handler = handler
        self.listener = QueueListener(self.queue, handler)

    @override
    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):
            self.queue.put_nowait(record)

    def stop(self) -> bool:
        """Return whether all lines were written within `_END_SECONDS`."""
        written = threading.Event()

        def stop() -> None:
            with suppress(queue.Full):
                self.listener.stop()  # never returns if nobody reads
                written.set()

        threading.Thread(target=stop, daemon=True).start()
        return written.wait(_END_SECONDS)


_queues: Final[list[_Queue]] = []


def write_in_thread() -> None:
    """Make all log handlers of this process write in a separate thread."""
    for handler in {handler for each in _loggers() for handler in each.handlers}:
        _queues.append(_Queue(handler))
        _queues[-1].listener.start()
        _replace(handler, _queues[-1])


def end() -> None:
    """Wait briefly for unwritten lines, and then write directly again."""
    while _queues:
        waiting = _queues.pop()
        if waiting.stop():
            waiting.handler.filters = waiting.filters
            _replace(waiting, waiting.handler)


def _loggers() -> list[logging.Logger]:
    known = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    return [logging.root, *known]


def _replace(old: logging.Handler, new: logging.Handler) -> None:
    for each in _loggers():
        each.handlers[:] = [new if one is old else one for one in each.handlers]
