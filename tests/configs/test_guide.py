"""The guide to production names everything that there is."""

import re

import pytest
import yaml

from drugpred.settings import Settings
from tests.harness import ROOT

GUIDE = (ROOT / "configs" / "README.md").read_text(encoding="utf-8")
ALERTS = yaml.safe_load((ROOT / "configs" / "monitoring" / "rules" / "alerts.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described(name):
    assert re.search(rf"\| .*\bDRUGPRED_{name.upper()}\b.* \|", GUIDE)


def test_no_other_setting_is():
    named = set(re.findall(r"DRUGPRED_[A-Z_]+", GUIDE))
    composes = {"DRUGPRED_IMAGE"}
    assert named <= composes | {f"DRUGPRED_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("rule", [rule for group in ALERTS["groups"] for rule in group["rules"] if "alert" in rule])
def test_every_alert_has_its_runbook(rule):
    assert f"| {rule['alert']} (" in GUIDE
    assert rule["annotations"]["runbook"] in GUIDE


def test_every_file_that_is_named_is_there():
    named = re.findall(r"\bconfigs/[\w./-]+\w", GUIDE) + [
        f"configs/{name}" for name in re.findall(r"`((?:deploy|monitoring|locks)/[\w./-]+\w)`", GUIDE)
    ]
    made = ("configs/deploy/secrets/", "configs/deploy/bentoml", "configs/deploy/.env")
    assert len(named) > 15
    assert [name for name in named if not name.startswith(made) and not (ROOT / name).exists()] == []


def test_every_link_leads_somewhere():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for text, other in ((GUIDE, readme), (readme, GUIDE)):
        assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= anchors(text)
        assert set(re.findall(r"\]\((?:\.\./)?(?:configs/)?README\.md#([\w-]+)\)", text)) <= anchors(other)


def anchors(text):
    """The places that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
