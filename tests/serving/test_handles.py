"""The limit of open files is raised as far as it may be."""

import resource

import pytest

from drugpred.serving import handles


@pytest.fixture
def limit():
    """Return what sets the soft limit; it is as before in the end."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_low_limit_is_raised_and_a_high_one_stays(limit, caplog):
    limit(256)
    handles.raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 2048
    limit(3000)
    handles.raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 3000
    assert not caplog.records


def test_a_hard_limit_that_is_too_low_is_said(monkeypatch, caplog):
    set_to = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 512))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set_to.append(limits))
    handles.raise_limit()
    assert set_to == [(512, 512)]
    assert "expected a limit of 2048 open files (ulimit -n), found 512" in caplog.text
