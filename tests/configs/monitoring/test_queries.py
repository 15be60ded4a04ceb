"""Every query of the rules and of the dashboard selects existing metrics, and finds them."""

import json
import re

import pytest
import yaml

from tests.harness.prometheus import MONITORING, exposition, prometheus

pytestmark = pytest.mark.slow  # a real Prometheus

VARIABLES = {"drug": "cannabis", "window": "decade", "feature": "age", "over": "1h", "__rate_interval": "1m"}

WORDS = {"and", "or", "unless", "on", "by", "ignoring", "offset", "bool", "group_left", "group_right", "without"}


def rules() -> list[dict]:
    return [
        rule
        for path in sorted((MONITORING / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]


def dashboard() -> dict:
    return json.loads((MONITORING / "grafana" / "dashboards" / "drugpred.json").read_text("utf-8"))


def panels() -> list[dict]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def filled(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(f"${name}", value)
    assert "$" not in expression
    return expression


def selectors(expression: str) -> set[str]:
    """Return the names of metrics with their matchers; lists of labels are none, nor texts outside of matchers."""
    text = re.sub(r"\b(by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)", " ", expression)
    text = re.sub(r'(?<=[,(])\s*"[^"]*"', " ", re.sub(r"\[\w+\]", "", text))
    found = re.findall(r"(?<![\w:.\"])([a-zA-Z_][\w:]*)(\{(?:[^{}\"]|\"[^\"]*\")*\})?(?!\s*\(|[\w:])", text)
    return {name + matchers for name, matchers in found if name not in WORDS}


@pytest.fixture(scope="module")
def watched(counting, tmp_path_factory):
    with (
        exposition(counting) as a,
        prometheus(tmp_path_factory.mktemp("prometheus"), a.address, "127.0.0.1:9") as server,
    ):
        server.wait("drug:drugpred_calibration_error:mean7d")
        a.pass_scrapes(3)
        yield server


def test_no_rule_fails(watched):
    found = watched.rules()
    assert len(found) == len(rules())
    assert not [(rule["name"], rule["lastError"]) for rule in found if rule["health"] != "ok"]


@pytest.mark.parametrize("record", sorted({rule["record"] for rule in rules() if "record" in rule}))
def test_each_recording_rule_records(watched, record):
    watched.wait(record)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_select_existing_metrics(watched, rule):
    for selector in selectors(rule["expr"]):
        watched.wait(selector)


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_each_panel_shows_something(watched, panel):
    assert panel["targets"]
    for target in panel["targets"]:
        watched.wait(filled(target["expr"]))


def test_the_dashboard_marks_alerts(watched):
    for annotation in dashboard()["annotations"]["list"]:
        watched.wait(annotation["expr"])


def test_the_dashboards_variables_have_values(watched):
    for variable in dashboard()["templating"]["list"]:
        name, chosen = variable["name"], variable["current"]["value"]
        assert chosen == VARIABLES[name]
        if variable["type"] == "custom":
            values = set(variable["query"].split(","))
        else:
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
            values = {each["metric"][label] for each in watched.query(metric)}
        assert chosen in values
