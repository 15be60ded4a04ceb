"""Targets must give the same probabilities."""

import pytest

from loadtest.benchmarks.targets import Target, agreeing


@pytest.mark.parametrize("other", [[0.5, 0.25 + 2e-9], [0.5], []])
def test_a_target_with_other_probabilities_is_named_and_left_out(other):
    failures = []
    ours = Target("drugpred, HTTP", None, [0.5, 0.25])
    close = Target("close", None, [0.5, 0.25 + 1e-10])
    off = Target("off", None, other)
    assert agreeing([ours, off, close], failures) == [ours, close]
    assert failures == ["off: its probabilities differ from those of drugpred, HTTP"]
