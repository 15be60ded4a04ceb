"""What a server shows to Prometheus, made by the code that counts."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.monitoring import metrics, outcome_metrics
from drugpred.monitoring.challenger import Challenger
from drugpred.monitoring.feedback.prediction_id import PredictionClaim
from drugpred.monitoring.prediction_metrics import PredictionCounter
from drugpred.selection import select

SERVED = {"service_name": "drugpred", "service_version": "1", "runner_name": "drugpred"}


@pytest.fixture(scope="session")
def counting(stored_model, real):
    """Return a function that counts a little in every metric, and returns the text of /metrics."""
    metrics.publish(stored_model, stored_model)
    challenger = Challenger(stored_model, stored_model)
    telemetry = PredictionCounter(stored_model.card, stored_model.uncertainty, challenger)
    bentoml = _BentoMLMetrics()
    rng = np.random.default_rng(1)

    def count() -> str:
        rows = real.X[rng.integers(len(real.X), size=200)]
        probabilities = stored_model.predictor.predict_proba(rows)
        for window in WINDOWS:
            telemetry.add(rows, probabilities, select(window, frozenset(DRUGS)))
        telemetry.flush()
        for window in WINDOWS:
            for each in probabilities[:20, :, WINDOWS.index(window)].tolist():
                probabilities_of = dict(zip(DRUGS, each, strict=True))
                claim = PredictionClaim(window, probabilities_of, 0, b"", probabilities_of)
                used = {drug: bool(rng.random() < p) for drug, p in claim.probabilities.items()}
                outcome_metrics.record(
                    claim, used, {drug: stored_model.card.drugs[drug][window].threshold for drug in DRUGS}
                )
                challenger.record(claim, used)
        outcome_metrics.count("accepted")
        metrics.REFUSED.labels("age", "range").inc()
        for reason in ("missing", "unknown", "scope"):
            metrics.DENIED.labels(reason).inc()
        for limit in ("rate", "size", "time", "load"):
            metrics.LIMITED.labels(limit).inc()
        metrics.BATCH_PROFILES.observe(3)
        for method in ("drugpred.v1.DrugPrediction/Predict", "drugpred.v1.DrugPrediction/PredictBatch"):
            metrics.observe_call(method, "OK", 0.001)
            metrics.observe_call(method, "INTERNAL", 0.03)
        return (generate_latest(REGISTRY) + bentoml.count()).decode()

    return count


class _BentoMLMetrics:
    """BentoML's own metrics of requests, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        client = SimpleNamespace(
            **{kind.__name__: partial(kind, registry=self.registry) for kind in (Counter, Gauge, Histogram, Summary)}
        )
        self.traffic = RunnerTrafficMetricsMiddleware(None, "bentoml_service")
        self.traffic._setup(metrics_client=client, duration_buckets=(0.001, 0.01, 0.025, 0.1))

    def count(self) -> bytes:
        for endpoint in ("/predict", "/predict_batch", "/readyz", "other"):
            for status in (200, 503):
                labels = SERVED | {"endpoint": endpoint, "http_response_code": status}
                self.traffic.metrics_request_total.labels(**labels).inc()
                self.traffic.metrics_request_duration.labels(**labels).observe(0.002)
            self.traffic.metrics_request_in_progress.labels(endpoint=endpoint, **SERVED).set(2)
        return generate_latest(self.registry)
