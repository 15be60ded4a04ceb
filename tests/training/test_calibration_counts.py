"""The calibration counters, read from a server's /metrics and from a Prometheus."""

import json

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.errors import DownloadError
from drugpred.monitoring import metrics, outcome_metrics
from drugpred.monitoring.feedback.prediction_id import PredictionClaim
from drugpred.training.calibration_counts import from_prometheus, from_server, from_text
from tests.harness.outcomes import draw_counts, exposed
from tests.harness.prometheus import exposition, prometheus

MODEL = "drug_consumption:a"


@pytest.fixture
def counts():
    rng = np.random.default_rng(1)
    probabilities = rng.uniform(0.02, 0.98, (2000, len(DRUGS)))
    return draw_counts(probabilities, probabilities, rng, MODEL)


def check(found, counts, rel=1e-12):
    assert found.model == counts.model
    assert np.allclose(found.outcomes, counts.outcomes, rtol=rel)
    assert np.allclose(found.probability, counts.probability, rtol=rel)


def test_outcomes_that_a_server_records_are_read(monkeypatch):
    registry = CollectorRegistry()
    for name in ("OUTCOMES", "BRIER", "LOG_LOSS", "CALIBRATION_OUTCOMES", "CALIBRATION_PROBABILITY"):
        (of,) = getattr(metrics, name).describe()
        fresh = Counter(of.name, of.documentation, getattr(metrics, name)._labelnames, registry=registry)
        monkeypatch.setattr(metrics, name, fresh)
    Gauge("drugpred_model_info", "-", ["model", "data_source"], registry=registry).labels(MODEL, "uci").set(1)
    outcome_metrics.prepare()
    rng = np.random.default_rng(2)
    outcomes, sums = np.zeros((18, 10, 2)), np.zeros((18, 10))
    for i in range(100):
        p, used = rng.random(18), rng.random(18) < 0.5
        claim = PredictionClaim(WINDOWS[i % 6], dict(zip(DRUGS, p.tolist(), strict=True)), 0, b"")
        reported = dict(zip(DRUGS, used.tolist(), strict=True))
        outcome_metrics.record(claim, reported, dict.fromkeys(DRUGS, 0.5))
        for drug in range(18):
            outcomes[drug, int(p[drug] * 10), int(used[drug])] += 1
            sums[drug, int(p[drug] * 10)] += p[drug]
    found = from_text(generate_latest(registry).decode())
    assert found.model == MODEL
    assert np.array_equal(found.outcomes, outcomes)
    assert np.allclose(found.probability, sums)


def test_a_server_is_read(counts):
    with exposition(lambda: exposed(counts)) as server:
        check(from_server(f"http://{server.address}/metrics"), counts)


@pytest.mark.slow
def test_a_prometheus_is_read_and_adds_up_servers(counts, tmp_path):
    share = [0.0]
    text = lambda: exposed(counts, share[0])  # noqa: E731
    with (
        exposition(text) as one,
        exposition(text) as other,
        prometheus(tmp_path, one.address, other.address) as server,
    ):
        for servers in (one, other):
            servers.pass_scrapes(2)
        share[0] = 0.5
        for servers in (one, other):
            servers.pass_scrapes(4)
        # An increase is extrapolated by up to half an interval between scrapes.
        check(from_prometheus(f"{server.url}/", 1), counts, rel=0.3)
        found = from_prometheus(server.url, 7)
        ratio = found.outcomes.sum() / counts.outcomes.sum()
        assert np.allclose(found.outcomes, ratio * counts.outcomes, rtol=1e-6)
        assert np.allclose(found.probability, ratio * counts.probability, rtol=1e-6)


def test_a_prometheus_is_asked_for_the_days(monkeypatch, counts):
    asked = []

    labels = {"drug": "lsd", "bin": "0.2-0.3"}
    results = [(labels | {"outcome": "used"}, "7.5"), (labels, "2"), ({"model": MODEL}, "2")]

    class Answer:
        ok = True

        def json(self):
            return {"data": {"result": [{"metric": of, "value": [0, value]} for of, value in results]}}

    def get(url, params, timeout):
        asked.append((url, params["query"]))
        return Answer()

    monkeypatch.setattr("requests.get", get)
    found = from_prometheus("http://prometheus:9090/", 30)
    ((url, query),) = asked  # all of one moment
    assert url == "http://prometheus:9090/api/v1/query"
    assert query.count("[30d]") == 3
    assert (found.outcomes.sum(), found.outcomes[DRUGS.index("lsd"), 2, 1]) == (7.5, 7.5)
    assert (found.probability.sum(), found.probability[DRUGS.index("lsd"), 2]) == (2, 2)


def spoiled(counts, old, new):
    text = exposed(counts)
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('bin="0.1-0.2"', 'bin="0.1-0.3"', "of this version"),
        ('drug="lsd"', 'drug="tea"', "of this version"),
        ("drugpred_calibration_probability", "other", "there are none"),
        ("drugpred_calibration_outcomes", "other", "there are none"),
        ("drugpred_model_info{", "other{", "there are none"),
        ('used"} ', 'used"} NaN\nother ', "of this version"),
        ('used"} ', 'used"} -', "of this version"),
        ("drugpred_model_info{", 'drugpred_model_info{model="b",data_source="uci"} 1\ndrugpred_model_info{', "of one"),
        ('used"} ', 'used"} <', "the text of a server's /metrics"),
    ],
)
def test_other_counters_are_refused(counts, old, new, expected):
    with pytest.raises(DownloadError, match=expected):
        from_text(spoiled(counts, old, new))


@pytest.mark.parametrize("text", ["", "<html>Not found</html>", "\0", '{"a": 1}', "a{b"])
def test_other_texts_are_refused(text):
    with pytest.raises(DownloadError, match="expected the"):
        from_text(text)


@pytest.mark.parametrize("answer", ["", "[]", "{}", json.dumps({"data": {"result": [{"metric": {}}]}})])
def test_another_server_than_a_prometheus_is_refused(answer):
    with exposition(lambda: answer) as server, pytest.raises(DownloadError, match="the answer of a Prometheus"):
        from_prometheus(f"http://{server.address}", 7)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/metrics", "nowhere", "ftp://a/b", "http://[", ""])
def test_a_server_that_does_not_answer_is_reported(url):
    for read in (from_server, lambda at: from_prometheus(at, 7)):
        with pytest.raises(DownloadError, match=r"the counters could not be read: [A-Z]"):
            read(url)


def test_a_status_is_reported(monkeypatch):
    class Answer:
        ok = False
        status_code = 401

    monkeypatch.setattr("requests.get", lambda *_, **__: Answer())
    with pytest.raises(DownloadError, match="expected status 200, not 401"):
        from_server("http://a/metrics")
