"""The log of a worker, written by a thread: requests go on while nobody reads it."""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from typing import Final

from typing_extensions import override

_MAX: Final = 10_000  # lines that wait; then new ones are lost
_END_SECONDS: Final = 2.0  # for which the end of the worker waits for them


class _Queue(QueueHandler):
    def __init__(self, handler: logging.Handler) -> None:
        super().__init__(queue.Queue(_MAX))
        self.filters = handler.filters  # what they add to a line is of the thread that logs it
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
                self.listener.stop()  # which never returns if nobody reads
                written.set()

        threading.Thread(target=stop, daemon=True).start()
        return written.wait(_END_SECONDS)


_queues: Final[list[_Queue]] = []


def write_in_thread() -> None:
    """Have all handlers of this process write in a thread of their own from now on."""
    for handler in {handler for each in _loggers() for handler in each.handlers}:
        _queues.append(_Queue(handler))
        _queues[-1].listener.start()
        _replace(handler, _queues[-1])


def end() -> None:
    """Wait a moment for what is not written yet, and then write as before."""
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
