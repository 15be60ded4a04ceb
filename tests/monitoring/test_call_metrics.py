"""Counts of calls, in this process and added up over several."""

import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from drugpred.monitoring import metrics

OBSERVE = """
from drugpred.monitoring.metrics import observe_call
for code in ("OK", "OK", "INTERNAL"):
    observe_call("drugpred.v1.DrugPrediction/Predict", code, 0.002)
"""


def test_processes_add_up(tmp_path):
    for _ in range(2):
        subprocess.run([sys.executable, "-c", OBSERVE], env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}, check=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))

    def value(name, **labels):
        return registry.get_sample_value(name, {"method": "drugpred.v1.DrugPrediction/Predict"} | labels)

    assert value("drugpred_grpc_requests_total", code="OK") == 4
    assert value("drugpred_grpc_requests_total", code="INTERNAL") == 2
    assert value("drugpred_grpc_request_duration_seconds_count") == 6
    assert value("drugpred_grpc_request_duration_seconds_sum") == pytest.approx(0.012)
    assert value("drugpred_grpc_request_duration_seconds_bucket", le="0.001") == 0
    assert value("drugpred_grpc_request_duration_seconds_bucket", le="0.0025") == 6


def test_series_are_looked_up_once():
    assert metrics._call_series("a", "OK") is metrics._call_series("a", "OK")
