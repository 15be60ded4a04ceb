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


def test_grpc_is_on_3001_without_tls_by_default(monkeypatch):
    for name in ("PORT", "CERTIFICATE", "KEY", "CLIENT_CA"):
        monkeypatch.delenv(f"DRUGPRED_GRPC_{name}", raising=False)
    settings = Settings()
    assert settings.grpc_port == 3001
    assert settings.grpc_certificate is settings.grpc_key is settings.grpc_client_ca is None


def test_grpc_is_set_by_the_environment(monkeypatch):
    monkeypatch.setenv("DRUGPRED_GRPC_PORT", "50051")
    monkeypatch.setenv("DRUGPRED_GRPC_CERTIFICATE", "/tls/server.pem")
    assert (Settings().grpc_port, Settings().grpc_certificate) == (50051, Path("/tls/server.pem"))


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_is_a_port(monkeypatch, port):
    monkeypatch.setenv("DRUGPRED_GRPC_PORT", port)
    with pytest.raises(ValidationError, match="grpc_port"):
        Settings()


def test_settings_stay_as_they_were_read():
    with pytest.raises(ValidationError):
        Settings().model = "another"
