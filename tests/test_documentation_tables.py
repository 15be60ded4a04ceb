"""The tables of the documents are those of the code."""

import re

import pytest
import yaml
from prometheus_client import REGISTRY

from drugpred import errors, limits
from drugpred.codebook import CATEGORIES
from drugpred.monitoring import metrics
from drugpred.serving.endpoints import ENDPOINTS
from drugpred.settings import Settings
from tests.documentation import DOCUMENTS, DRUGPRED_NAME, table
from tests.harness import ROOT


def text_of(document):
    return (ROOT / document).read_text(encoding="utf-8")


SERVING = text_of("drugpred/serving/README.md")
UNITS = {"": 1, "s": 1, "KiB": 2**10, "MiB": 2**20}


def number(cell):
    amount, _, unit = cell.partition(" ")
    return float(amount.replace(",", "")) * UNITS[unit]


def test_endpoints():
    rows = [(call, scope, number(body) if body else 0) for call, scope, body in table(SERVING, "endpoint", "scope")]
    assert rows == [
        (
            f"{'POST' if endpoint.request else 'GET'} {endpoint.path}",
            endpoint.rule.scope.value if endpoint.rule.scope else "no key",
            endpoint.max_body_bytes,
        )
        for endpoint in ENDPOINTS
    ]


def test_the_readme_names_endpoints_that_there_are():
    calls = [call for call, _ in table(text_of("README.md"), "call", "does")]
    paths = {path for call in calls for path in re.findall(r"/\w*(?:\.\w+)?", call)}
    assert paths <= {endpoint.path for endpoint in ENDPOINTS}
    assert paths >= {
        endpoint.path for endpoint in ENDPOINTS if endpoint.request and not endpoint.path.startswith("/v2")
    }


def test_labels():
    rows = [(name, label, others) for name, label, others in table(SERVING, "input", "label", "also accepted as")]
    assert rows == [
        (category.name, label, ", ".join([*published, *category.aliases.get(label, ())]))
        for category in CATEGORIES
        for label, *published in zip(
            category.labels, *([category.published] if category.published else []), strict=True
        )
    ]


def test_status_codes():
    def tree(error):
        yield error
        for child in error.__subclasses__():
            yield from tree(child)

    rows = {(status, code) for status, code, *_ in table(SERVING, "HTTP", "gRPC")}
    raised = {(str(error.status), error.code) for error in tree(errors.RequestError)}
    routed = {("405", ""), ("431", "")}  # by starlette and by uvicorn, before there is a request
    assert rows == raised | routed


def test_limits():
    rows = {name.strip("`"): number(value) for name, value, _ in table(SERVING, "limit", "value")}
    assert rows == {name: value for name, value in vars(limits).items() if name.isupper()}


def test_settings():
    named = {name for cell, *_ in table(SERVING, "variable", "is") for name in DRUGPRED_NAME.findall(cell)}
    assert named == {f"DRUGPRED_{name.upper()}" for name in Settings.model_fields}


def test_no_document_names_a_setting_that_there_is_not():
    named = {name for document in DOCUMENTS for name in DRUGPRED_NAME.findall(text_of(document))}
    assert named <= {"DRUGPRED_IMAGE"} | {f"DRUGPRED_{name.upper()}" for name in Settings.model_fields}


def test_metrics():
    rows = {name: labels for name, labels, _ in table(text_of("drugpred/monitoring/README.md"), "metric", "labels")}
    collectors = {each for each in vars(metrics).values() if hasattr(each, "_labelnames")}
    assert rows == {
        each._name + "_total" * (each._type == "counter"): ", ".join(each._labelnames) for each in collectors
    }
    ours = {name for name in REGISTRY._names_to_collectors if name.startswith("drugpred_")}
    assert set(rows) <= ours


@pytest.fixture(scope="module")
def alerts():
    rules = yaml.safe_load(text_of("configs/monitoring/rules/alerts.yml"))
    return [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]


def test_alerts(alerts):
    rows = table(text_of("configs/monitoring/README.md"), "alert", "severity", "for")
    assert [row[:3] for row in rows] == [[rule["alert"], rule["labels"]["severity"], rule["for"]] for rule in alerts]
    assert all(rule["annotations"]["runbook"] for rule in alerts)


def test_the_readme_has_the_figures_of_the_comparison():
    loadtest = text_of("loadtest/README.md")
    for server, *figures in table(text_of("README.md"), "server", "1 client"):
        (line,) = re.findall(rf"^{server}  +(.*)$", loadtest[: loadtest.index("1000 profiles a request")], re.MULTILINE)
        assert figures == line.split()[::3]
