"""Start-up and memory compared with a bare BentoML service."""

import pytest
from bentoml._internal.models import ModelStore

from drugpred import model_store
from loadtest.benchmarks import footprint


def test_medians_and_ratios():
    starts = {
        "drugpred": [footprint.Footprint(3, 120, 90), footprint.Footprint(6, 110, 80), footprint.Footprint(4, 100, 70)],
        "bare BentoML": [
            footprint.Footprint(2, 60, 45),
            footprint.Footprint(6, 50, 40),
            footprint.Footprint(2, 50, 35),
        ],
    }
    rows = [line.rsplit(maxsplit=3) for line in footprint.table(starts).splitlines()[1:]]
    assert rows == [
        ["drugpred", "4.00", "110.0", "80.0"],
        ["bare BentoML", "2.00", "50.0", "40.0"],
        ["ratio", "1.50", "2.00", "2.00"],
    ]


@pytest.mark.slow
def test_a_start_of_the_bare_service_is_measured(store):
    found = footprint.start(ModelStore(store / "models").get(model_store.NAME), bare=True)
    assert found.seconds > 0.2
    assert found.rss >= found.uss > 10
