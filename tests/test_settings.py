"""What an operator sets through the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from drugpred.bundle import NAME
from drugpred.settings import Settings


def test_the_newest_model_is_served_by_default(monkeypatch):
    monkeypatch.delenv("DRUGPRED_MODEL", raising=False)
    assert Settings().model == NAME


def test_the_environment_is_read_when_the_settings_are_made(monkeypatch):
    monkeypatch.setenv("DRUGPRED_MODEL", "drug_consumption:one")
    monkeypatch.setenv("DRUGPRED_DATA", "/data/people.csv")
    assert (Settings().model, Settings().data) == ("drug_consumption:one", Path("/data/people.csv"))


def test_settings_stay_as_they_were_read():
    with pytest.raises(ValidationError):
        Settings().model = "another"
