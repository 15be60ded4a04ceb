"""What fails again and again is logged when it begins to, and when it works again."""

import logging

from drugpred.monitoring import failure_log as module
from drugpred.monitoring.failure_log import FailureLog


def test_each_change_is_logged_once(caplog):
    log = FailureLog(logging.getLogger("drugpred"), "again")
    log.worked()
    for line in ("one", "two"):
        log.failed(line)
    for _ in range(2):
        log.worked()
    log.failed("three")
    assert [record.getMessage() for record in caplog.records] == ["one", "again", "three"]


def test_an_operation_that_works_sometimes_is_failing(caplog, monkeypatch):
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    log = FailureLog(logging.getLogger("drugpred"), "again", 60.0)
    for _ in range(5):
        log.failed("one")
        now += 50.0
        log.worked()
    assert [record.getMessage() for record in caplog.records] == ["one"]
    now += 60.0
    log.worked()
    assert [record.getMessage() for record in caplog.records] == ["one", "again"]
