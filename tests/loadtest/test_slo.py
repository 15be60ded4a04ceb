"""Service levels: reading and checking."""

import pytest

from drugpred.errors import ConfigurationError
from loadtest import slo
from tests.harness import ROOT


@pytest.fixture
def verdicts(tmp_path):
    def judge(content, **measured):
        """Return whether each level of POST /predict was met."""
        path = tmp_path / "levels.yaml"
        path.write_text(content)
        found = {"POST /predict": measured} if measured else {}
        return [verdict.met for verdict in slo.check(slo.read(path), found)]

    return judge


def test_the_levels_of_the_readme():
    wanted = slo.read(ROOT / "loadtest" / "slo.yaml")
    assert {endpoint: level.model_dump(exclude_none=True) for endpoint, level in wanted.items()} == {
        "POST /predict": {"p95_ms": 25, "requests_per_second": 500},
        "Aggregated": {"error_rate": 0},
    }


@pytest.mark.parametrize("percentile", ["p50_ms", "p95_ms", "p99_ms"])
def test_a_response_time_must_be_under_its_level(verdicts, percentile):
    content = f"POST /predict: {{{percentile}: 25}}"
    assert verdicts(content, **{percentile: 24}) == [True]
    assert verdicts(content, **{percentile: 25}) == [False]


@pytest.mark.parametrize(("level", "met"), [(0, False), (0.01, True), (0.02, True), (1, True)])
def test_the_error_rate_limits_failed_requests(verdicts, level, met):
    assert verdicts(f"POST /predict: {{error_rate: {level}}}", error_rate=0.01) == [met]


@pytest.mark.parametrize(("level", "met"), [(499, True), (500, True), (500.1, False)])
def test_so_many_requests_a_second_must_be_reached(verdicts, level, met):
    assert verdicts(f"POST /predict: {{requests_per_second: {level}}}", requests_per_second=500) == [met]


def test_an_endpoint_that_nobody_asked_meets_nothing(verdicts):
    content = "POST /predict: {p50_ms: 9, p95_ms: 9, p99_ms: 9, error_rate: 1, requests_per_second: 1}"
    assert verdicts(content) == [False] * 5


def test_verdicts_as_a_table():
    wanted = {
        "POST /predict": slo.Levels(p95_ms=25, error_rate=0.001, requests_per_second=1500),
        "POST /predict_batch": slo.Levels(p99_ms=100),
    }
    measured = {"POST /predict": {"p95_ms": 140, "error_rate": 0, "requests_per_second": 1623.456}}
    assert slo.table(slo.check(wanted, measured)).splitlines() == [
        "level                     wanted          measured    met",
        "POST /predict p95         under 25 ms     140 ms      NO",
        "POST /predict errors      at most 0.1%    0%          yes",
        "POST /predict requests/s  at least 1,500  1,623.5     yes",
        "POST /predict_batch p99   under 100 ms    no request  NO",
    ]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("", "dictionary"),
        ("{}", "at least 1 item"),
        ("- POST /predict", "dictionary"),
        ("POST /predict: 25", "POST /predict: "),
        ("POST /predict: {}", "POST /predict: .*expected at least one level"),
        ("POST /predict: {p95: 25}", "POST /predict: p95: "),
        ("POST /predict: {p95_ms: 0}", "POST /predict: p95_ms: .*greater than 0"),
        ("POST /predict: {p95_ms: .nan}", "POST /predict: p95_ms: .*finite"),
        ("POST /predict: {p95_ms: fast}", "POST /predict: p95_ms: .*number"),
        ("POST /predict: {error_rate: 5}", "POST /predict: error_rate: .*less than or equal to 1"),
        ("POST /predict: {requests_per_second: -1}", "POST /predict: requests_per_second: .*greater than 0"),
    ],
)
def test_a_malformed_file_is_reported_with_place_and_expected_value(tmp_path, content, where):
    path = tmp_path / "levels.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=rf"(?s){where}.*p50_ms \| p95_ms \| p99_ms") as caught:
        slo.read(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("content", [None, b"POST /predict: {", b"\xff"])
def test_a_file_that_is_not_yaml_is_refused(tmp_path, content):
    path = tmp_path / "levels.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="expected a YAML file"):
        slo.read(path)
