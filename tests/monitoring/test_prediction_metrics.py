"""Predictions are all counted, and none twice."""

import threading
import time

import numpy as np
import pytest

from drugpred.codebook import DRUGS, SUPPORT_LEVELS, WINDOWS
from drugpred.monitoring import prediction_metrics as module
from drugpred.monitoring.prediction_metrics import PredictionCounter
from drugpred.selection import select
from tests.harness.metrics import samples

ALL = frozenset(DRUGS)
COUNTERS = ("profiles", "input", "score", "support", "predictions", "probability")


def counts():
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples(*COUNTERS)}


class Difference(dict):
    """The counts since it was created."""

    def __init__(self):
        self._before = counts()

    def read(self):
        found = {of: value - self._before.get(of, 0.0) for of, value in counts().items()}
        return {of: value for of, value in found.items() if abs(value) > 1e-6}

    def total(self, name, **labels):
        return sum(
            value
            for (found, *of), value in self.read().items()
            if found == f"drugpred_{name}_total" and labels.items() <= dict(of).items()
        )


@pytest.fixture
def telemetry(stored_model):
    return PredictionCounter(stored_model.card, stored_model.uncertainty)


@pytest.fixture
def people(stored_model, real):
    """Rows and probabilities of all respondents."""
    return real.X, stored_model.predictor.predict_proba(real.X)


def wait_until(holds):
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def expected(model, people, window, drugs):
    """Return the counts of profiles one by one."""
    found, card = {}, model.card

    def count(name, by=1.0, **labels):
        key = (f"drugpred_{name}_total", *sorted(labels.items()))
        found[key] = found.get(key, 0.0) + by

    def label(bins, value):
        return bins.labels[int(np.searchsorted(bins.edges, value)) if bins.edges else int(value)]

    for row, probabilities in zip(*people, strict=True):
        count("profiles")
        (level,) = model.uncertainty.support(row[np.newaxis]).level
        count("support", level=SUPPORT_LEVELS[level])
        for (name, bins), value in zip(card.input_bins.items(), row, strict=True):
            count("input", feature=name, bin=label(bins, value))
        for (drug, bins), by_window in zip(card.probability_bins.items(), probabilities, strict=True):
            count("score", drug=drug, bin=label(bins, by_window[1]))
            if drug in drugs:
                p = by_window[WINDOWS.index(window)]
                labels = {"drug": drug, "window": window}
                labels["label"] = "High Risk" if p >= card.drugs[drug][window].threshold else "Low Risk"
                count("predictions", **labels)
                count("probability", p, **labels)
    return found


@pytest.mark.parametrize(
    ("window", "drugs"), [("decade", ALL), ("day", ALL), ("month", {"lsd"}), ("ever", {"heroin", "alcohol"})]
)
def test_counts_are_those_of_profiles_one_by_one(stored_model, telemetry, people, window, drugs):
    rows, probabilities = (each[:200] for each in people)
    found = Difference()
    telemetry.add(rows, probabilities, select(window, frozenset(drugs)))
    assert found.read() == {}
    telemetry.flush()
    assert found.read() == pytest.approx(expected(stored_model, (rows, probabilities), window, drugs))


def test_separate_profiles_are_counted_together(stored_model, telemetry, people):
    rows, probabilities = people
    found, same = Difference(), {}
    for i, (size, window, drugs) in enumerate(
        [
            (1, "decade", ALL),
            (1, "year", {"lsd"}),
            (30, "year", ALL),
            (1, "decade", {"crack"}),
            (2, "decade", ALL),
        ]
    ):
        part = rows[40 * i : 40 * i + size], probabilities[40 * i : 40 * i + size]
        telemetry.add(*part, select(window, frozenset(drugs)))
        for of, value in expected(stored_model, part, window, drugs).items():
            same[of] = same.get(of, 0.0) + value
    telemetry.flush()
    telemetry.flush()
    assert found.read() == pytest.approx(same)


@pytest.mark.parametrize(
    "asked", [[("day", "lsd")], [("day", "lsd")] * 3 + [("day", "crack"), ("year", "crack"), ("day", "lsd")]]
)
def test_profiles_of_a_batch_may_ask_for_different_things(stored_model, telemetry, people, asked):
    rows, probabilities = (each[: len(asked)] for each in people)
    found, same = Difference(), {}
    telemetry.add_each(rows, probabilities, [select(window, frozenset({drug})) for window, drug in asked])
    telemetry.flush()
    for i, (window, drug) in enumerate(asked):
        for of, value in expected(stored_model, (rows[i : i + 1], probabilities[i : i + 1]), window, {drug}).items():
            same[of] = same.get(of, 0.0) + value
    assert found.read() == pytest.approx(same)


def test_series_begin_at_zero(stored_model, telemetry):
    found = counts()
    assert {("drugpred_predictions_total", ("drug", drug), ("label", label), ("window", window))
            for drug in DRUGS for window in WINDOWS for label in ("High Risk", "Low Risk")} <= set(found)  # fmt: skip
    bins = sum(len(bins.labels) for bins in stored_model.card.input_bins.values())
    assert sum(name == "drugpred_input_total" for name, *_ in found) == bins


def test_threads_lose_nothing(telemetry, people):
    rows, probabilities = people
    found = Difference()
    telemetry.start()

    def note():
        for i in range(1500):
            telemetry.add(rows[i : i + 1], probabilities[i : i + 1], select("decade", ALL))
            if i % 100 == 0:
                telemetry.flush()

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    telemetry.stop()
    assert found.total("profiles") == 6000
    assert found.total("input", feature="age") == 6000
    assert found.total("score", drug="lsd") == 6000
    assert found.total("predictions", drug="lsd", window="decade") == 6000
    assert found.total("probability", drug="lsd") == pytest.approx(
        4 * probabilities[:1500, DRUGS.index("lsd"), 1].sum()
    )


def test_it_counts_without_being_asked(telemetry, people):
    found = Difference()
    telemetry.start()
    telemetry.add(people[0][:1], people[1][:1], select("decade", ALL))
    wait_until(lambda: found.total("profiles") == 1)
    telemetry.stop()


def test_the_caller_adds_many_up_and_the_metrics_have_them_later(telemetry, people):
    found = Difference()
    rows, probabilities = (each[:100] for each in people)
    for _ in range(10):
        telemetry.add(rows, probabilities, select("decade", ALL))
        assert 100 * len(telemetry._noted) < module._ENOUGH
    assert found.total("profiles") == 0
    telemetry.flush()
    assert found.total("profiles") == 1000


def test_a_failure_to_count_costs_no_answer(telemetry, people, monkeypatch, caplog):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_ENOUGH", 1)
    monkeypatch.setattr(telemetry, "_count", full)
    for _ in range(3):
        telemetry.add(people[0][:1], people[1][:1], select("decade", ALL))
    telemetry.stop()
    assert [record.getMessage() for record in caplog.records] == ["profiles were not counted"]


def test_it_starts_again(telemetry, people):
    found = Difference()
    for n in (1, 2):
        telemetry.start()
        telemetry.add(people[0][:1], people[1][:1], select("decade", ALL))
        telemetry.stop()
        assert found.total("profiles") == n
    telemetry.stop()


def test_a_failure_is_logged_once_and_counting_continues(telemetry, people, monkeypatch, caplog):
    found = Difference()
    monkeypatch.setattr(module, "_SECONDS", 0.01)
    telemetry.start()
    telemetry.add(people[0][:1, :3], people[1][:1], select("decade", ALL))
    wait_until(lambda: caplog.records)
    telemetry.add(people[0][1:2], people[1][1:2], select("decade", ALL))
    wait_until(lambda: found.total("predictions", drug="lsd") == 1)
    telemetry.stop()
    assert [record.getMessage() for record in caplog.records] == ["profiles were not counted"]
