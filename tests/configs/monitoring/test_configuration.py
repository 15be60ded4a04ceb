"""The files are what their programs take, and every alert has a fault at which it fires."""

import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.harness.prometheus import MONITORING, program

CASES = Path(__file__).parent / "rules"


def alerts() -> list[dict]:
    groups = yaml.safe_load((MONITORING / "rules" / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@functools.cache
def fired() -> list[dict[str, str]]:
    """The labels of all alerts that the cases expect."""
    return [
        dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"]))
        for path in sorted(CASES.glob("*.yml"))
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for check in case["promql_expr_test"]
        for sample in check["exp_samples"]
        if sample["labels"].startswith("ALERTS{")
    ]


def test_the_configuration_is_well_formed(tmp_path):
    folder = shutil.copytree(MONITORING, tmp_path / "monitoring")
    (folder / "metrics_key").write_text("key\n")
    checked("promtool", "check", "config", folder / "prometheus.yml")


@pytest.mark.parametrize(
    "command",
    [
        ["promtool", "check", "rules", "--lint-fatal", *sorted((MONITORING / "rules").glob("*.yml"))],
        ["amtool", "check-config", MONITORING / "alertmanager.yml"],
    ],
    ids=["rules", "alertmanager"],
)
def test_it_is_well_formed(command):
    checked(*command)


@pytest.mark.slow
@pytest.mark.parametrize("cases", sorted(CASES.glob("*.yml")), ids=lambda path: path.stem)
def test_alerts_fire_at_their_fault_and_at_no_other(cases):
    checked("promtool", "test", "rules", cases)


def checked(command: str, *arguments: object) -> None:
    done = subprocess.run(
        [program(command), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_every_alert_has_a_runbook_and_a_test(alert):
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"].keys() == {"summary", "runbook"}
    assert all("\n" not in text.strip() for text in alert["annotations"].values())
    labels = alert["labels"] | {"alertname": alert["alert"]}
    found = [each for each in fired() if labels.items() <= each.items()]
    assert found
    told = {label for text in alert["annotations"].values() for label in re.findall(r"\$labels\.(\w+)", text)}
    assert all(told <= each.keys() for each in found)
    assert told.isdisjoint(alert["labels"])  # those that the rule adds are empty in its texts


def test_severities_are_routed():
    alertmanager = yaml.safe_load((MONITORING / "alertmanager.yml").read_text("utf-8"))
    to = {
        severity: next(
            (route["receiver"] for route in alertmanager["route"]["routes"] if severity in route["matchers"][0]),
            alertmanager["route"]["receiver"],
        )
        for severity in ("critical", "warning")
    }
    assert to == {"critical": "page", "warning": "ticket"}
    names = {alert["alert"] for alert in alerts()}
    for rule in alertmanager["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            for name in re.findall(r"Drugpred\w+", matcher):
                assert name in names


def test_grafana_finds_its_datasource_and_its_dashboard():
    grafana = MONITORING / "grafana"
    (datasource,) = yaml.safe_load((grafana / "datasources" / "prometheus.yml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((grafana / "dashboards" / "drugpred.yml").read_text("utf-8"))["providers"]
    assert set(re.findall(r'"uid": "(.*prometheus)"', dashboard())) == {datasource["uid"]}
    assert provider["options"]["path"] == "$GF_PATHS_PROVISIONING/dashboards"


def dashboard() -> str:
    return (MONITORING / "grafana" / "dashboards" / "drugpred.json").read_text("utf-8")
