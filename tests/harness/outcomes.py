"""Simulated outcomes, counted as a server counts them."""

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from drugpred.codebook import DRUGS
from drugpred.monitoring.outcome_metrics import BINS, OUTCOMES
from drugpred.training.calibration_counts import CalibrationCounts


def draw_counts(probabilities, truth, rng, model="drug_consumption:a"):
    """Return the counts of outcomes that are drawn with the true probabilities, both of shape (n, 18)."""
    used, bins = rng.random(truth.shape) < truth, (probabilities * len(BINS)).astype(int)
    outcomes = [np.bincount(2 * at + y, minlength=2 * len(BINS)) for at, y in zip(bins.T, used.T, strict=True)]
    sums = [np.bincount(at, p, len(BINS)) for at, p in zip(bins.T, probabilities.T, strict=True)]
    return CalibrationCounts(model, np.reshape(outcomes, (len(DRUGS), len(BINS), 2)).astype(float), np.array(sums))


def exposed(counts, share=1.0):
    """Return the text of /metrics of a server that counted a share of these outcomes."""
    registry = CollectorRegistry()
    outcomes = Counter("drugpred_calibration_outcomes", "-", ["drug", "bin", "outcome"], registry=registry)
    sums = Counter("drugpred_calibration_probability", "-", ["drug", "bin"], registry=registry)
    Gauge("drugpred_model_info", "-", ["model", "data_source"], registry=registry).labels(counts.model, "uci").set(1)
    for i, drug in enumerate(DRUGS):
        for k, at in enumerate(BINS):
            sums.labels(drug, at).inc(share * counts.probability[i, k])
            for y, outcome in enumerate(OUTCOMES):
                outcomes.labels(drug, at, outcome).inc(share * counts.outcomes[i, k, y])
    return generate_latest(registry).decode()
