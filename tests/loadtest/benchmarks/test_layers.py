"""What the layers cost: their places, and the table."""

from pkgutil import resolve_name

import pytest

from loadtest.benchmarks import layers

TARGETS = [target for target, _ in layers.PARTS.values()] + [f"{target}.__call__" for target in layers.PASSED.values()]


@pytest.mark.parametrize("target", TARGETS)
def test_every_layer_is_where_it_is_looked_for(target):
    assert callable(resolve_name(target.replace(":", ".")))


def test_a_layer_is_compared_with_the_whole_above_it_round_by_round():
    rounds = {
        "all": [100.0, 200.0, 300.0],
        "without a": [90.0, 170.0, 295.0],
        "more": [400.0, 400.0, 500.0],
        "without b": [100.0, 300.0, 500.0],
        "another": [10.0, 20.0, 30.0],
    }
    assert layers.table(rounds, ["all", "more"]).splitlines() == [
        "           us/request    less",
        "all             200.0",
        "without a       170.0    10.0",
        "more            400.0",
        "without b       300.0   100.0",
        "another          20.0",
    ]
