"""The reader of the log may stop reading: logging continues."""

import logging
import os
import threading
import time
from contextlib import suppress

import pytest

from drugpred.serving import logs

logger = logging.getLogger("tests.logs")


class Marked(logging.Filter):
    def filter(self, record):
        record.marked = threading.current_thread().name
        return True


@pytest.fixture
def pipe(monkeypatch):
    """The handler of a logger that writes into a pipe, and the end that is read."""
    reading, writing = os.pipe()
    with suppress(BrokenPipeError), os.fdopen(reading) as read, os.fdopen(writing, "w") as write:
        handler = logging.StreamHandler(write)
        handler.setFormatter(logging.Formatter("%(marked)s %(message)s"))
        handler.addFilter(Marked())
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "propagate", False)
        monkeypatch.setattr(logs, "_loggers", lambda: [logger])
        monkeypatch.setattr(logs, "_END_SECONDS", 0.2)
        yield handler, read
        logs.end()


def test_lines_keep_the_facts_of_the_logging_thread(pipe):
    handler, read = pipe
    logs.write_in_thread()
    assert handler not in logger.handlers
    logger.warning("one %s", 1)
    logs.end()
    assert handler in logger.handlers
    logger.warning("two")
    assert [read.readline() for _ in range(2)] == ["MainThread one 1\n", "MainThread two\n"]


def test_a_reader_that_hangs_holds_nobody_up(pipe, monkeypatch):
    monkeypatch.setattr(logs, "_MAX", 100)
    logs.write_in_thread()
    started = time.monotonic()
    for _ in range(1000):
        logger.warning("a line " * 100)
    logs.end()
    assert time.monotonic() - started < 5
    pipe[1].close()  # the thread ends with the pipe
