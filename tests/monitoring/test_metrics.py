"""Metrics of the model and the program; test_live_drift.py tests how they add up."""

import platform
from dataclasses import replace

from prometheus_client import REGISTRY
from scipy.stats import chi2

from drugpred import __version__
from drugpred.monitoring import metrics


def test_the_model_and_the_program_are_shown(stored_model):
    metrics.publish(stored_model)
    value = REGISTRY.get_sample_value
    assert value("drugpred_model_info", {"model": stored_model.tag, "data_source": "uci"}) == 1
    (build,) = (
        sample.labels
        for metric in REGISTRY.collect()
        if metric.name == "drugpred_build_info"
        for sample in metric.samples
    )
    assert build["version"] == __version__
    assert build["python"] == platform.python_version()
    assert build["bentoml"].startswith("1.4.")


def test_quantiles_are_of_each_variables_bins(stored_model):
    metrics.publish(stored_model)
    for name, label, bins in (
        ("drift_quantile", "feature", stored_model.card.input_bins),
        ("score_drift_quantile", "drug", stored_model.card.probability_bins),
    ):
        for variable, each in bins.items():
            found = REGISTRY.get_sample_value(f"drugpred_{name}", {label: variable})
            assert abs(found - chi2.isf(0.01 / 30, len(each.labels) - 1)) < 1e-6


def test_unmeasured_values_are_not_shown(stored_model):
    drugs = {drug: dict(windows) for drug, windows in stored_model.card.drugs.items()}
    drugs["lsd"]["day"] = drugs["lsd"]["day"].model_copy(update={"sensitivity": None, "base_rate": 0.125})
    shown = {"drug": "lsd", "window": "day"}
    metrics.publish(stored_model)
    before = REGISTRY.get_sample_value("drugpred_reference_sensitivity", shown)
    metrics.publish(replace(stored_model, card=stored_model.card.model_copy(update={"drugs": drugs})))
    assert REGISTRY.get_sample_value("drugpred_base_rate", shown) == 0.125
    assert REGISTRY.get_sample_value("drugpred_reference_sensitivity", shown) == before
    metrics.publish(stored_model)
