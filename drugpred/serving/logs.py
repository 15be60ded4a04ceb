"""The log: the ids of requests in its lines, lines of JSON, and a thread that writes it.

With the thread, requests continue if nobody reads the log.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from typing import Final

from opentelemetry import trace
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter
from typing_extensions import override

from drugpred.errors import ConfigurationError
from drugpred.serving import request_ids
from drugpred.settings import Settings

_MAX: Final = 10_000  # lines that wait; further ones are dropped
_END_SECONDS: Final = 2.0  # how long the end of a worker waits for them

_JSON: Final = JsonFormatter(
    ["levelname", "name", "message"],
    rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
    reserved_attrs=[*RESERVED_ATTRS, "request", "levelname_bracketed", "service_name", "trace_msg", "color_message"],
    timestamp="time",
)
"""A line has these fields and, if there are, component, request_id, trace_id, span_id and exception."""


def configure() -> None:
    """Add the ids of requests to the lines on stdout and stderr, and write them as DRUGPRED_LOG_FORMAT says.

    BentoML makes the handlers of a process before it imports the service.
    """
    try:
        is_json = Settings().log_format == "json"
    except ConfigurationError:  # a later check ends the start with one line
        is_json = False
    for handler in _handlers():
        if isinstance(handler, logging.StreamHandler) and handler.stream in {sys.stdout, sys.stderr}:
            handler.addFilter(_add_ids)
            if is_json:
                handler.setFormatter(_JSON)


def _add_ids(record: logging.LogRecord) -> bool:
    """Add the ids of the request and of its trace to a line, after BentoML's filter."""
    record.__dict__.pop("request_id", None)  # BentoML's, which is a number or None
    if request_id := getattr(record, "request", "") or request_ids.current.get(b"").decode():
        record.request_id = request_id
        record.trace_msg = f"{getattr(record, 'trace_msg', '')} (request={request_id})"
    span = trace.get_current_span().get_span_context()
    if span.is_valid:  # its text has them already
        record.trace_id, record.span_id = trace.format_trace_id(span.trace_id), trace.format_span_id(span.span_id)
    return True


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
    for handler in _handlers():
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


def _handlers() -> set[logging.Handler]:
    return {handler for each in _loggers() for handler in each.handlers}


def _replace(old: logging.Handler, new: logging.Handler) -> None:
    for each in _loggers():
        each.handlers[:] = [new if one is old else one for one in each.handlers]
