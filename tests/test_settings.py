"""What an operator sets through the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from drugpred.errors import ConfigurationError
from drugpred.model_store import NAME
from drugpred.settings import DataSettings, Settings, make_paths_absolute


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


@pytest.mark.parametrize("port", ["-1", "65536", "70000", "http", "3001.5"])
def test_a_port_is_a_port(monkeypatch, port):
    monkeypatch.setenv("DRUGPRED_GRPC_PORT", port)
    with pytest.raises(ConfigurationError) as raised:
        Settings()
    assert str(raised.value) == "DRUGPRED_GRPC_PORT: expected a port from 0 to 65535"


def test_all_that_is_malformed_is_named_in_one_line_and_no_value_is(monkeypatch):
    monkeypatch.setenv("DRUGPRED_GRPC_PORT", "s3cr3t")
    monkeypatch.setenv("DRUGPRED_CORS_ORIGINS", "s3cr3t")
    with pytest.raises(ConfigurationError) as raised:
        Settings()
    assert str(raised.value).count("DRUGPRED_") == 2
    assert "s3cr3t" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_training_reads_no_setting_of_the_server(monkeypatch):
    monkeypatch.setenv("DRUGPRED_GRPC_PORT", "no port")
    monkeypatch.setenv("DRUGPRED_DATA", "people.csv")
    assert DataSettings().data == Path("people.csv")


# What Kubernetes adds for Services drugpred, drugpred-grpc and drugpred-api-v2 (of two ports, one of them named).
LINKS = {
    "DRUGPRED_SERVICE_HOST": "10.0.0.4",
    "DRUGPRED_SERVICE_PORT": "3000",
    "DRUGPRED_SERVICE_PORT_HTTP": "3000",
    "DRUGPRED_PORT": "tcp://10.0.0.4:3000",
    "DRUGPRED_PORT_3000_TCP": "tcp://10.0.0.4:3000",
    "DRUGPRED_PORT_3000_TCP_PROTO": "tcp",
    "DRUGPRED_PORT_3000_TCP_PORT": "3000",
    "DRUGPRED_PORT_3000_TCP_ADDR": "10.0.0.4",
    "DRUGPRED_GRPC_SERVICE_HOST": "10.0.0.5",
    "DRUGPRED_GRPC_SERVICE_PORT": "3001",
    "DRUGPRED_GRPC_PORT": "tcp://10.0.0.5:3001",
    "DRUGPRED_GRPC_PORT_3001_TCP": "tcp://10.0.0.5:3001",
    "DRUGPRED_API_V2_PORT_53_UDP": "udp://10.0.0.6:53",
}


def test_variables_of_kubernetes_are_no_settings(monkeypatch):
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    assert Settings().grpc_port == 3001


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("DRUGPRED_API_KEY_FILE", ", like DRUGPRED_API_KEYS_FILE"),
        ("DRUGPRED_API_KEY", ", like DRUGPRED_API_KEYS"),
        ("drugpred_ratelimit", ", like DRUGPRED_RATE_LIMIT"),
        ("DRUGPRED_PORT", ""),
        ("DRUGPRED_", ""),
    ],
)
@pytest.mark.parametrize("settings", [DataSettings, Settings])
def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch, settings, name, near):
    monkeypatch.setenv(name, "3000")
    with pytest.raises(ConfigurationError) as raised:
        settings()
    assert str(raised.value).startswith(f"{name}: expected the name of a setting{near}")
    assert "3000" not in str(raised.value)


def test_a_variable_of_compose_is_known(monkeypatch):
    monkeypatch.setenv("DRUGPRED_IMAGE", "drugpred:1")
    Settings()


def test_settings_stay_as_they_were_read():
    with pytest.raises(ValidationError):
        Settings().model = "another"


@pytest.mark.parametrize(
    ("given", "matches"),
    [
        ("https://one.example", "https://one.example"),
        ("https://one.example/", "https://one.example"),
        ("HTTPS://One.Example:443", "https://one.example"),
        ("http://one.example:80/ , https://two.example:8443,", "http://one.example,https://two.example:8443"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("*", "*"),
    ],
)
def test_an_origin_is_as_browsers_write_it(monkeypatch, given, matches):
    monkeypatch.setenv("DRUGPRED_CORS_ORIGINS", given)
    assert Settings().cors_origins == matches


@pytest.mark.parametrize(
    "given",
    [
        "one.example", "//one.example", "https://one.example/page", "https://one.example?", "https://one.example#a",
        "https://a:b@one.example", "https://*.example", "https://one.example:http", "ftp://one.example", "https://",
        "https://one.example https://two.example", "null", "https://b\u00fccher.example", "https://[",
    ],
)  # fmt: skip
def test_invalid_origins_are_refused(monkeypatch, given):
    monkeypatch.setenv("DRUGPRED_CORS_ORIGINS", f"https://one.example,{given}")
    with pytest.raises(ConfigurationError, match="DRUGPRED_CORS_ORIGINS: expected origins like "):
        Settings()


def test_paths_are_those_of_the_folder_where_the_command_was_started(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("DRUGPRED_API_KEYS_FILE", "drugpred_grpc_key", "DRUGPRED_FEEDBACK_FOLDER"):
        monkeypatch.setenv(name, "here/it")
    monkeypatch.setenv("DRUGPRED_DATA", "/already/absolute")
    monkeypatch.setenv("DRUGPRED_GRPC_KEY", "")  # to be put back
    monkeypatch.delenv("DRUGPRED_GRPC_KEY")
    make_paths_absolute(Settings())
    monkeypatch.chdir("/")
    settings = Settings()
    assert settings.api_keys_file == settings.grpc_key == settings.feedback_folder == tmp_path / "here" / "it"
    assert settings.data == Path("/already/absolute")
