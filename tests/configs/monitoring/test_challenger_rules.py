"""The recording rules of a challenger give what `drugpred.monitoring.comparison` does."""

import numpy as np
import pytest

from drugpred.monitoring.comparison import radius
from tests.harness import wait
from tests.harness.prometheus import exposition, prometheus

pytestmark = pytest.mark.slow  # a real Prometheus

PAIR = 'served="m:1",challenger="m:2"'


def test_difference_and_radius_are_those_of_the_module(tmp_path):
    rng = np.random.default_rng(3)
    losses = rng.random((2, 1000)) * [[0.2], [0.18]]
    difference = losses[1] - losses[0]
    scrapes = 0

    def text():
        nonlocal scrapes
        scrapes += 1
        times = 10**6 + (scrapes > 3)  # far from 0, increases are extrapolated alike for all
        lines = [f"drugpred_challenger_people_total{{{PAIR}}} {times * 1000}"]
        for model, each in zip(("served", "challenger"), losses, strict=True):
            labels = f'{PAIR},loss="brier",model="{model}"'
            lines.append(f"drugpred_challenger_person_loss_total{{{labels}}} {times * each.sum()}")
        squares = times * (difference**2).sum()
        lines.append(f'drugpred_challenger_person_squares_total{{{PAIR},loss="brier"}} {squares}')
        return "\n".join(lines) + "\n"

    with exposition(text) as served, prometheus(tmp_path, served.address, "127.0.0.1:9") as server:
        pair, name = ("served", "challenger"), "served_challenger_loss:drugpred_challenger_difference:"
        people = "served_challenger:drugpred_challenger_people:increase30d"
        wait(lambda: server.values(people, *pair).get(("m:1", "m:2"), 0) > 990, "people")
        served.pass_scrapes(4)
        ((moment, n),) = [each["value"] for each in server.query(people)]
        measures = ("mean", "variance", "radius")
        found = {of: server.values(f"{name}{of}30d", "loss", at=moment)["brier",] for of in measures}
    assert found["mean"] == pytest.approx(difference.mean(), rel=1e-6)
    assert found["variance"] == pytest.approx(difference.var(), rel=1e-4)
    assert found["radius"] == pytest.approx(radius(float(n), found["variance"]), rel=1e-5)
