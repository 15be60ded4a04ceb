"""Measurements as text."""

import pytest

from loadtest.benchmarks import generators, tables


@pytest.fixture
def rounds():
    """Return rounds with these rates."""
    return lambda *rates: [generators.Measured(rate, 1000 / rate, 0.5) for rate in rates]


def test_ratios_are_those_within_the_rounds(rounds):
    # the second round was disturbed for both alike
    results = {"this": rounds(20, 10, 20), "that": rounds(10, 5, 8)}
    text = tables.table(["this", "that"], {"1 client": results}, "that", tables.REQUESTS)
    heading, names, *rows = text.splitlines()
    assert heading.split() == ["1", "client"]
    assert names.split() == ["requests/s", "p50", "ms", "ratio"]
    assert [row.split() for row in rows] == [["this", "20", "50.00", "2.00"], ["that", "8", "125.00", "1.00"]]
    assert len({len(line) for line in text.splitlines()}) == 1


def test_a_failure_has_dashes_in_its_own_column(rounds):
    columns = {"1 client": {"this": rounds(20), "that": rounds(10)}, "32 clients": {"that": rounds(10)}}
    rows = tables.table(["this", "that", "gone"], columns, "that", tables.REQUESTS).splitlines()[2:]
    assert rows[0].split() == ["this", "20", "50.00", "2.00", "-", "-", "-"]
    assert rows[2].split() == ["gone", *"------"]


def test_without_the_measure_there_are_no_ratios(rounds):
    rows = tables.table(["this"], {"1 client": {"this": rounds(20)}}, "that", tables.REQUESTS).splitlines()[2:]
    assert rows[0].split() == ["this", "20", "50.00", "-"]


def test_batches_count_profiles(rounds):
    rows = tables.table(["this"], {"1 client": {"this": rounds(20)}}, "", tables.BATCHES).splitlines()[1:]
    assert [row.split() for row in rows] == [["profiles/s", "p50", "ms"], ["this", "20000", "50.00"]]
