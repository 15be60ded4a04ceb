"""The recording rules of drift give what `drugpred.monitoring.drift` does, of counts that Prometheus scraped."""

import time

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from drugpred.monitoring import drift
from tests.harness import wait
from tests.harness.prometheus import exposition, prometheus

pytestmark = pytest.mark.slow  # a real Prometheus

BEFORE = 10**9
"""What each counter had before: far from 0, increases are extrapolated alike for all."""


class Replica:
    """A server's counters, of what the card has bins of."""

    def __init__(self, card, counts):
        self.counts = counts
        self.offset, self.times = BEFORE, 0
        self.gauges = gauges(card)

    def text(self):
        lines = [
            f'drugpred_{what}_total{{{label}="{name}",bin="{at}"}} {self.offset + self.times * count}'
            for (what, label, name), by_bin in self.counts.items()
            for at, count in by_bin.items()
        ]
        return self.gauges + "\n".join(lines) + "\n"


def gauges(card):
    """What `drugpred.monitoring.metrics.publish` shows of the card, in a registry of its own."""
    registry = CollectorRegistry()
    Gauge("drugpred_reference_respondents", "", registry=registry).set(card.data.respondents)
    for share, quantile, label, bins in (
        ("reference_ratio", "drift_quantile", "feature", card.input_bins),
        ("score_reference_ratio", "score_drift_quantile", "drug", card.probability_bins),
    ):
        shares = Gauge(f"drugpred_{share}", "", [label, "bin"], registry=registry)
        quantiles = Gauge(f"drugpred_{quantile}", "", [label], registry=registry)
        for name, each in bins.items():
            quantiles.labels(name).set(drift.quantile(len(each.labels)))
            for at, value in zip(each.labels, each.shares, strict=True):
                shares.labels(name, at).set(value)
    return generate_latest(registry).decode()


@pytest.fixture(scope="module")
def counts(stored_model):
    """Of every other variable 300, with empty bins; of the others so many that half a count more is nothing."""
    rng = np.random.default_rng(1)
    found = {}
    for what, label, bins in (
        ("input", "feature", stored_model.card.input_bins),
        ("score", "drug", stored_model.card.probability_bins),
    ):
        for i, (name, each) in enumerate(bins.items()):
            shares = rng.dirichlet(np.full(len(each.labels), 0.5))
            drawn = rng.multinomial(300, shares) if i % 2 else rng.multinomial(10**7, shares) + 10**5
            found[what, label, name] = dict(zip(each.labels, drawn.tolist(), strict=True))
    return found


@pytest.fixture(scope="module")
def watched(stored_model, counts, tmp_path_factory):
    """Two servers: one counts everything once, the other twice with a restart in between."""
    first, second = Replica(stored_model.card, counts), Replica(stored_model.card, counts)
    with (
        exposition(first.text) as a,
        exposition(second.text) as b,
        prometheus(tmp_path_factory.mktemp("prometheus"), a.address, b.address) as server,
    ):
        a.pass_scrapes(3)
        first.times = 1
        b.pass_scrapes(2)
        second.times = 1
        b.pass_scrapes(2)
        second.offset = 0
        b.pass_scrapes(3)
        # The increases of both, restart included, extrapolated by less than a half.
        total = sum(counts["input", "feature", "age"].values())
        wait(lambda: server.values("feature:drugpred_input:increase1d", "feature")["age",] > 2.99 * total, "counts")
        b.pass_scrapes(4)
        yield server


@pytest.mark.parametrize("over", ["1h", "1d"])
def test_index_and_threshold_are_those_of_the_module(watched, stored_model, counts, over):
    at = time.time() - 2  # by then all rules of a group were evaluated
    for (what, label, name), truth in counts.items():
        bins = (stored_model.card.input_bins if what == "input" else stored_model.card.probability_bins)[name]
        reference = stored_model.card.data.respondents * np.array(bins.shares)
        metric, of = f"drugpred_{what}", f'{{{label}="{name}"}}'
        found = watched.values(f"{label}_bin:{metric}:increase{over}{of}", "bin", at=at)
        recorded = [found[each,] for each in bins.labels]
        (psi,) = watched.values(f"{label}:{metric}:psi{over}{of}", at=at).values()
        (threshold,) = watched.values(f"{label}:{metric}:psi_threshold{over}{of}", at=at).values()
        assert psi == pytest.approx(drift.population_stability_index(recorded, reference), abs=1e-9)
        expected = (1 / sum(recorded) + 1 / stored_model.card.data.respondents) * drift.quantile(len(bins.labels))
        assert threshold == pytest.approx(max(expected, drift.MIN_SCORE_INDEX * (what == "score")), rel=1e-9)
        n = 3 * sum(truth.values())
        assert 0.999 * n < sum(recorded) < 1.5 * n
        if min(truth.values()) >= 10**5:
            exact = drift.population_stability_index([3 * truth[each] for each in bins.labels], reference)
            assert psi == pytest.approx(exact, abs=1e-6)
