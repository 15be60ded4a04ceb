"""The log: ids of requests in its lines, lines of JSON, and readers that stop reading."""

import io
import json
import logging
import os
import threading
import time
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime
from types import SimpleNamespace

import pytest
from bentoml._internal.log import TRACED_LOG_FORMAT, TraceRecordFilter

from drugpred.serving import logs, request_ids

logger = logging.getLogger("tests.logs")


class Marked(logging.Filter):
    def filter(self, record):
        record.marked = threading.current_thread().name
        return True


@pytest.fixture
def line(monkeypatch):
    """Return a function that logs by a logger that BentoML has configured, and returns the line."""
    stream = io.StringIO()
    monkeypatch.setattr(logs, "sys", SimpleNamespace(stdout=stream, stderr=None))
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(TRACED_LOG_FORMAT))
    handler.addFilter(TraceRecordFilter())
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logs, "_loggers", lambda: [logger])

    def write(*arguments, id_=b"", **options):
        stream.truncate(stream.seek(0))
        context = copy_context()
        context.run(request_ids.current.set, id_)
        context.run(logger.error, *arguments, **options)
        return stream.getvalue()

    write.stream = stream
    return write


def test_a_line_of_text_has_the_id_of_its_request(line):
    bare = line("failed")
    logs.configure()
    assert "request=" not in bare
    assert line("failed").endswith("failed\n")
    assert line("failed", id_=b"of-the-caller").endswith("failed (request=of-the-caller)\n")
    assert line("failed", id_=b"another", extra={"request": "of-a-call"}).endswith("failed (request=of-a-call)\n")


def test_a_line_of_json_is_one_line_with_all_facts(line, monkeypatch):
    monkeypatch.setenv("DRUGPRED_LOG_FORMAT", "json")
    logs.configure()
    try:
        raise ArithmeticError("one\ntwo")
    except ArithmeticError:
        text = line('a "%s"\n', "line\r\u2028", id_=b'"id\\', exc_info=True)
    assert text.isascii()
    assert len(text.splitlines()) == 1
    written = json.loads(text)
    datetime.fromisoformat(written.pop("time"))
    assert "ArithmeticError: one\ntwo" in written.pop("exception")
    known = {"level": "ERROR", "logger": "tests.logs", "component": "[]", "request_id": '"id\\'}
    assert written == known | {"message": 'a "line\r\u2028"\n'}
    assert "request_id" not in json.loads(line("outside of a request"))


def test_the_thread_keeps_the_format_and_the_id(line, monkeypatch):
    monkeypatch.setenv("DRUGPRED_LOG_FORMAT", "json")
    logs.configure()
    logs.write_in_thread()
    line("failed", id_=b"of-the-caller")
    logs.end()
    written = json.loads(line.stream.getvalue())
    assert (written["message"], written["request_id"]) == ("failed", "of-the-caller")


@pytest.fixture
def pipe(monkeypatch):
    """The handler of a logger that writes into a pipe, and the end that is read."""
    reading, writing = os.pipe()
    with suppress(BrokenPipeError), os.fdopen(reading) as read, os.fdopen(writing, "w") as write:
        handler = logging.StreamHandler(write)
        handler.setFormatter(logging.Formatter("%(marked)s %(message)s"))
        handler.addFilter(Marked())
        # The thread writes on for a moment after the test, and would print its errors where another test reads.
        handler.handleError = lambda record: None
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
    pipe[1].close()  # the thread no longer hangs
