"""Checks and settings before workers start, without a worker."""

import dataclasses
import logging
import os
import resource
import socket

import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore

from drugpred.errors import ConfigurationError
from drugpred.serving import startup as module
from drugpred.serving.patches.circus_arbiter import ServingAddress
from drugpred.serving.startup import Startup
from tests.harness.ports import free_ports


@pytest.fixture
def environ(monkeypatch, store, tmp_path):
    """The environment of an operator without settings, in an empty folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRUGPRED_")}
    monkeypatch.setattr(os, "environ", kept)
    monkeypatch.setattr(module.model_store, "resolve", lambda _: ModelStore(store / "models").get("drug_consumption"))
    monkeypatch.chdir(tmp_path)
    BentoMLContainer.bentoml_home.set("home")
    yield kept
    BentoMLContainer.bentoml_home.reset()


@pytest.fixture
def place():
    (port,) = free_ports(1)
    return ServingAddress("127.0.0.1", port, 2, {})


def launched(place):
    launch = Startup()
    launch.check()
    try:
        return launch.listen(place)
    finally:
        if kept := getattr(launch, "_grpc", None):
            kept.close()


def test_workers_get_shared_settings(environ, place, tmp_path):
    environ |= {"DRUGPRED_GRPC_PORT": "0", "DRUGPRED_FEEDBACK_FOLDER": "used", "BENTOML_CONFIG": "config.yaml"}
    given = launched(place)
    assert given["BENTOML_HOST"] == "127.0.0.1"
    assert 0 < int(given["DRUGPRED_GRPC_PORT"]) < 65536
    assert environ["BENTOML_HOME"] == str(tmp_path / "home")
    assert environ["BENTOML_CONFIG"] == str(tmp_path / "config.yaml")
    assert environ["DRUGPRED_FEEDBACK_FOLDER"] == str(tmp_path / "used")
    assert len(environ["DRUGPRED_FEEDBACK_KEY"]) >= 32


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"DRUGPRED_FEEDBACK_FOLDER": "file"},
            "^error: DRUGPRED_FEEDBACK_FOLDER: expected .*/file/feed",
        ),
        ({"DRUGPRED_API_KEYS_FILE": "nowhere"}, "^error: DRUGPRED_API_KEYS_FILE: expected a readable file"),
        ({"DRUGPRED_GRPC_KEY": "key.pem"}, "needs both DRUGPRED_GRPC_CERTIFICATE and DRUGPRED_GRPC_KEY"),
        ({"DRUGPRED_GRPC_PORT": "70000"}, "^error: DRUGPRED_GRPC_PORT: expected a port"),
        (
            {"DRUGPRED_CORS_ORIGIN": "https://one.example"},
            "^error: DRUGPRED_CORS_ORIGIN: expected the name of a setting, like DRUGPRED_CORS_ORIGINS",
        ),
        ({"DRUGPRED_RATE_LIMIT": "often"}, "^error: DRUGPRED_RATE_LIMIT: expected one limit"),
        ({"DRUGPRED_FEEDBACK_KEY": "short"}, "^error: DRUGPRED_FEEDBACK_KEY: expected keys"),
    ],
)
def test_a_setting_with_which_no_worker_could_start_is_named(environ, tmp_path, setting, message):
    (tmp_path / "file").touch()
    environ |= setting
    with pytest.raises(SystemExit, match=message):
        Startup().check()


def test_a_home_that_cannot_be_written_only_takes_no_feedback(environ, tmp_path, caplog):
    (tmp_path / "home").touch()
    Startup().check()
    assert "feedback is not accepted: expected to be able to write" in caplog.text


def test_a_port_of_http_that_is_taken_is_said(environ, place):
    environ["DRUGPRED_GRPC_PORT"] = "0"
    with (
        socket.create_server(("127.0.0.1", place.port)),
        pytest.raises(ConfigurationError, match=rf"^port {place.port} is in use.*; choose another with --port$"),
    ):
        launched(place)


def test_certificates_of_http_are_checked(environ, place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="for HTTP"):
        launched(place._replace(tls={"certificate": tmp_path / "file"}))


LINE = "caller predict 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("source", ["uci", "simulated"])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({}, "every caller is accepted; rate limit: none"),
        ({"DRUGPRED_RATE_LIMIT": "1/hour"}, "every caller is accepted; rate limit: 1/hour"),
        ({"DRUGPRED_API_KEYS": LINE, "DRUGPRED_RATE_LIMIT": "5/hour"}, "API keys: 1; rate limit: 5/hour"),
    ],
)
def test_a_few_lines_describe_the_server(environ, place, monkeypatch, caplog, stored_model, source, setting, said):
    card = stored_model.card.model_copy(update={"data": stored_model.card.data.model_copy(update={"source": source})})
    monkeypatch.setattr(module.model_store, "read", lambda _: dataclasses.replace(stored_model, card=card))
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(logging.getLogger("bentoml"), "propagate", True)
    environ |= setting | {"DRUGPRED_GRPC_PORT": "0"}
    port = launched(place)["DRUGPRED_GRPC_PORT"]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) <= 5
    assert (
        f"{stored_model.tag}, trained on {'SIMULATED' if source == 'simulated' else 'the real'} respondents" in lines[0]
    )
    assert said in lines[1]
    assert f"HTTP on 127.0.0.1:{place.port}, gRPC on 127.0.0.1:{port}; workers: 2" in lines[2]
    assert f"http://127.0.0.1:{place.port}/app" in lines[3]
    assert ("every caller is accepted" in caplog.text) == ("DRUGPRED_API_KEYS" not in setting)


@pytest.fixture
def limit():
    """Return a function that sets the soft limit; it is restored at the end."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_low_limit_is_raised_and_a_high_one_stays(limit, caplog):
    limit(256)
    module.raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 2048
    limit(3000)
    module.raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 3000
    assert not caplog.records


def test_a_hard_limit_that_is_too_low_is_said(monkeypatch, caplog):
    set_to = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 512))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set_to.append(limits))
    module.raise_file_limit()
    assert set_to == [(512, 512)]
    assert "expected a limit of 2048 open files (ulimit -n), found 512" in caplog.text
