"""Two workers: their counts add up, the facts of the model do not."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from drugpred.codebook import DRUGS, INPUTS, WINDOWS
from drugpred.monitoring import drift as live
from drugpred.monitoring.prediction_metrics import PredictionCounter
from drugpred.selection import select

WORKER = """
import sys
import numpy as np
from bentoml._internal.models import ModelStore
from drugpred import model_store
from drugpred.codebook import DRUGS
from drugpred.monitoring import metrics
from drugpred.monitoring.prediction_metrics import PredictionCounter
from drugpred.selection import select

store, path, start, stop = sys.argv[1:]
stored_model = model_store.read(ModelStore(store + "/models").get(model_store.NAME))
metrics.publish(stored_model)
telemetry = PredictionCounter(stored_model.card, stored_model.uncertainty)
telemetry.start()
rows = np.load(path)[int(start):int(stop)]
telemetry.add(rows, stored_model.predictor.predict_proba(rows), select("year", frozenset(DRUGS)))
telemetry.stop()
"""


@pytest.fixture(scope="module")
def folder(store, real, tmp_path_factory):
    """Counted by two workers: 1200 respondents, and the other 685."""
    folder = tmp_path_factory.mktemp("workers")
    np.save(folder / "rows.npy", real.X)
    (folder / "metrics").mkdir()
    for start, stop in ((0, 1200), (1200, 1885)):
        work(folder, store, folder / "rows.npy", start, stop)
    return folder


def work(folder, *arguments):
    """Run a worker."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics")}
    command = [sys.executable, "-c", WORKER, *map(str, arguments)]
    subprocess.run(command, env=environment, check=True, timeout=60)


@pytest.fixture(scope="module")
def samples(folder):
    """What Prometheus would read, in its order."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder / "metrics"))
    return [sample for metric in registry.collect() for sample in metric.samples]


@pytest.fixture(scope="module")
def value(samples):
    """Return a series' value."""
    found = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
    return lambda name, **labels: found[name, *sorted(labels.items())]


def test_counts_add_up(value, stored_model, real):
    assert value("drugpred_profiles_total") == 1885
    for feature, bins in stored_model.card.input_bins.items():
        for label, share in zip(bins.labels, bins.shares, strict=True):
            found = value("drugpred_input_total", feature=feature, bin=label)
            assert found == pytest.approx(share * 1885)
    p = stored_model.predictor.predict_proba(real.X)[:, :, WINDOWS.index("year")]
    for i, drug in enumerate(DRUGS):
        high = p[:, i] >= stored_model.card.drugs[drug]["year"].threshold
        for label, chosen in (("High Risk", high), ("Low Risk", ~high)):
            labels = {"drug": drug, "window": "year", "label": label}
            assert value("drugpred_predictions_total", **labels) == chosen.sum()
            assert value("drugpred_probability_total", **labels) == pytest.approx(p[chosen, i].sum())


def test_the_card_does_not(value, stored_model):
    card = stored_model.card
    assert value("drugpred_reference_respondents") == 1885
    assert value("drugpred_model_info", model=stored_model.tag, data_source="uci") == 1
    for name, of, bins in (
        ("drugpred_reference_ratio", "feature", card.input_bins),
        ("drugpred_score_reference_ratio", "drug", card.probability_bins),
    ):
        for variable, each in bins.items():
            found = [value(name, **{of: variable}, bin=label) for label in each.labels]
            assert found == list(each.shares)
            assert sum(found) == pytest.approx(1)
    for drug, windows in card.drugs.items():
        for window, figures in windows.items():
            for name in ("sensitivity", "specificity"):
                found = value(f"drugpred_reference_{name}", drug=drug, window=window)
                assert found == getattr(figures, name)
            assert value("drugpred_base_rate", drug=drug, window=window) == figures.base_rate


def test_there_is_one_series_of_each(samples):
    """No metric has a label of the process, which would make new series at every start."""
    series = [(sample.name, *sorted(sample.labels.items())) for sample in samples]
    assert len(series) == len(set(series))
    assert not [of for of in series if "pid" in dict(of[1:])]


def test_names_are_those_that_rules_read(samples):
    assert {sample.name for sample in samples} == {
        "drugpred_base_rate",
        "drugpred_batch_profiles_bucket",
        "drugpred_batch_profiles_count",
        "drugpred_batch_profiles_sum",
        "drugpred_build_info",
        "drugpred_challenger_failures_total",
        "drugpred_drift_quantile",
        "drugpred_input_total",
        "drugpred_model_info",
        "drugpred_predictions_total",
        "drugpred_probability_total",
        "drugpred_profiles_total",
        "drugpred_rates_unshared_total",
        "drugpred_reference_ratio",
        "drugpred_reference_respondents",
        "drugpred_reference_sensitivity",
        "drugpred_reference_specificity",
        "drugpred_score_total",
        "drugpred_score_drift_quantile",
        "drugpred_score_reference_ratio",
        "drugpred_support_reference_ratio",
        "drugpred_support_total",
    }


def test_drift_of_one_server_is_that_of_all_its_workers(folder, value, stored_model, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder / "metrics"))
    drift = json.loads(live.live_drift(stored_model.card).model_dump_json())
    assert list(drift["inputs"]) == list(INPUTS)
    assert list(drift["scores"]) == list(DRUGS)
    for shift in drift["inputs"].values():
        assert shift["n"] == 1885
        assert shift["psi"] == pytest.approx(0, abs=1e-9)
        assert shift["drifted"] is False
    for name, shift in drift["inputs"].items():
        quantile = value("drugpred_drift_quantile", feature=name)
        assert shift["threshold"] == pytest.approx(2 / 1885 * quantile)


def test_nothing_reveals_a_person(store, tmp_path):
    """Neither in the files of a worker, as text or as a number."""
    (tmp_path / "metrics").mkdir()
    marked = 0.31415926
    np.save(tmp_path / "rows.npy", np.array([[0.0] * 5 + [marked] * 7]))
    work(tmp_path, store, tmp_path / "rows.npy", 0, 1)
    files = [path.read_bytes() for path in (tmp_path / "metrics").iterdir()]
    assert any(b"drugpred_input_total" in content for content in files)
    for trace in (b"314159", np.float64(marked).tobytes(), np.float32(marked).tobytes()):
        assert not any(trace in content for content in files)


def test_one_process_alone_is_read_as_well(stored_model, real):
    before = live.live_drift(stored_model.card).inputs["age"].n
    telemetry = PredictionCounter(stored_model.card, stored_model.uncertainty)
    telemetry.add(real.X, stored_model.predictor.predict_proba(real.X), select("week", frozenset({"lsd"})))
    telemetry.stop()
    assert live.live_drift(stored_model.card).inputs["age"].n == before + 1885
