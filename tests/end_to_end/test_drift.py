"""Simulated drift, played through the real service and watched by a real Prometheus with the project's rules.

The model is what train.py makes by default; the traffic is of the simulated cohort, whose inputs are distributed as
those of the respondents.
"""

import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from drugpred.client import Client
from drugpred.codebook import DRUGS, INPUTS, WINDOWS, describe
from drugpred.data.distribution_shift import LABEL_NOISE, draw
from tests.harness import NIGHTLY, wait
from tests.harness.prometheus import Prometheus, prometheus
from tests.harness.service import Server

pytestmark = pytest.mark.slow

PROFILES = 1_000_000 if NIGHTLY else 100_000
SEED = 7
"""Of other people than the model is trained on."""


@dataclass
class Watched:
    """A server, and a Prometheus that saw it before it had any traffic."""

    server: Server
    prometheus: Prometheus
    since: float

    def play(self, n: int, shifts: dict[str, float]) -> dict[str, dict[str, dict]]:
        """Predict for n respondents, and return the answer of GET /drift once all rules have seen them."""
        rows = (part for chunk, _ in draw(n, SEED, shifts) for part in np.array_split(chunk, 2))
        with Client(f"grpc://{self.server.grpc}") as client:
            assert sum(map(len, client.stream(rows))) == n
        self.settle(f"sum(drugpred_profiles_total) == {n}")
        with self.server.client() as client:
            return client.get("/drift").json()

    def settle(self, expression: str) -> None:
        """Wait until it is true, and until the rules over the recorded values are evaluated too."""
        self.prometheus.wait(expression)
        time.sleep(4)

    def fire(self) -> dict[tuple[str, str], set[str]]:
        """Return the firing alerts: by alert and time of the drift, the inputs or drugs."""
        found = defaultdict(set)
        for alert in (each["metric"] for each in self.prometheus.query('ALERTS{alertstate="firing"}')):
            length = alert.get("window", "") if alert["alertname"].endswith("Drift") else ""
            found[alert["alertname"], length].add(alert.get("feature") or alert.get("drug", ""))
        return dict(found)

    def wait(self, expected: set[tuple[str, str]]) -> None:
        """Wait until these alerts fire and no other: a scrape may be late, or come within a flush."""
        wait(lambda: set(self.fire()) == expected, lambda: f"{expected}, not {self.fire()}")

    def fired(self) -> set[str]:
        """Return the alerts that fired at any time since."""
        seconds = int(time.time() - self.since)
        fired = self.prometheus.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{seconds}s])')
        return {each["metric"]["alertname"] for each in fired}


@pytest.fixture
def watched(serve, default_store, tmp_path) -> Iterator[Watched]:
    home = shutil.copytree(default_store, tmp_path / "home")
    (tmp_path / "watching").mkdir()
    with serve(home) as server, prometheus(tmp_path / "watching", server.url.removeprefix("http://")) as watcher:
        watcher.wait("feature:drugpred_input:increase1h")
        yield Watched(server, watcher, time.time())


def moved(shifts):
    """Return the variables that have moved far enough for an alert."""
    return {name for name, shift in shifts.items() if shift["psi"] > 1.25 * shift["threshold"]}


def test_steady_profiles_and_honest_feedback_fire_nothing(watched):
    drift = watched.play(PROFILES, {})
    watched.wait(set())
    # A scrape between the counts and the sums of one flush shows an inconsistent state. Outside of tests it does not
    # matter within the hour that other alerts wait for.
    assert not [alert for alert in watched.fired() if alert.endswith("Drift")]
    # increase() extrapolates to the ends of the time seen, which matters the less the longer that is.
    watched.prometheus.wait(f"max(feature:drugpred_input:increase1d) < {1.1 * PROFILES}")
    seen = watched.prometheus.values("feature:drugpred_input:increase1d", "feature")
    assert list(seen.values()) == [pytest.approx(PROFILES, rel=0.1)] * len(INPUTS)
    assert {shift["n"] for shift in (*drift["inputs"].values(), *drift["scores"].values())} == {PROFILES}
    assert drift["drifted"] is False
    feed_back(watched, 0.0)
    watched.wait(set())


INPUT_ALERTS = {("DrugpredInputDrift", "1h"), ("DrugpredInputDrift", "1d")}
ALL_BUT_CALIBRATION = INPUT_ALERTS | {
    ("DrugpredScoreDrift", "1h"),
    ("DrugpredScoreDrift", "1d"),
    ("DrugpredExpectedPerformance", ""),
}


@pytest.mark.parametrize(
    ("name", "strength", "of", "expected"),
    [
        ("older", 1.0, "age", ALL_BUT_CALIBRATION | {("DrugpredLittleSupport", "")}),
        # With all else as it was, it changes few answers.
        ("impulsive", 1.0, "impulsivity", INPUT_ALERTS | {("DrugpredScoreDrift", "1d")}),
        ("country", -0.8, "country", ALL_BUT_CALIBRATION),
    ],
)
def test_a_shift_fires_these_alerts_and_no_other(watched, name, strength, of, expected):
    drift = watched.play(20_000, {name: strength})
    watched.wait(expected)
    fire = watched.fire()
    # What goes together with a category moves too, but not as far.
    assert fire["DrugpredInputDrift", "1h"] == {of}
    assert fire["DrugpredInputDrift", "1d"] == moved(drift["inputs"])
    assert (fire["DrugpredInputDrift", "1d"] == {of}) == (name == "impulsive")
    assert fire["DrugpredScoreDrift", "1d"] <= moved(drift["scores"])


def feed_back(watched, noise):
    """Predict for 2000 respondents, and report the outcomes of each."""
    ((rows, last_use),) = draw(2000, SEED, {LABEL_NOISE: noise})
    used = (last_use > WINDOWS.index("decade")).tolist()
    with watched.server.client() as client:
        for start in (0, 1000):
            profiles = [describe(row) for row in rows[start : start + 1000].tolist()]
            answers = client.post("/predict_batch", json={"profiles": profiles}).json()
            for answer, outcomes in zip(answers, used[start : start + 1000], strict=True):
                feedback = {
                    "prediction_id": answer["prediction_id"],
                    "outcomes": dict(zip(DRUGS, outcomes, strict=True)),
                }
                assert client.post("/feedback", json=feedback).status_code == 200
    watched.settle('sum(drugpred_feedback_total{result="accepted"}) == 2000')


def test_feedback_with_label_noise_is_reported_as_miscalibration(watched):
    feed_back(watched, 0.2)
    watched.wait({("DrugpredMiscalibrated", "")})
    for drug in ("amphetamines", "cocaine", "heroin", "lsd"):
        watched.prometheus.wait(f'ALERTS{{alertname="DrugpredMiscalibrated", alertstate="firing", drug="{drug}"}}')
