"""Where gRPC listens, and what ends the start."""

import json
import socket

import pytest

from drugpred.errors import ConfigurationError
from drugpred.serving.rpc.configuration import address, check, credentials
from drugpred.settings import Settings


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        ("http://127.0.0.1:3000", "127.0.0.1:3001"),
        ("https://10.0.0.7:443", "10.0.0.7:3001"),
        ("http://localhost:3000", "0.0.0.0:3001"),
        ("http://::1:3000", "[::1]:3001"),
    ],
)
def test_it_listens_where_http_does(monkeypatch, http, expected):
    monkeypatch.setenv("BENTOML_RUNNER_MAP", json.dumps({"drugpred": http}))
    assert address("drugpred", 3001) == expected


def test_outside_of_bentoml_it_listens_on_loopback(monkeypatch):
    monkeypatch.delenv("BENTOML_RUNNER_MAP", raising=False)
    assert address("drugpred", 3001) == "127.0.0.1:3001"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_something_listens_on_ends_the_start(host):
    with socket.create_server((host, 0), reuse_port=True) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} is in use; set DRUGPRED_GRPC_PORT to another one"):
            check(Settings(grpc_port=port))


def test_a_port_that_nothing_listens_on_is_taken(free_port):
    check(Settings(grpc_port=free_port))


def test_a_port_is_free_again_when_its_connections_wait_for_their_end(free_port):
    address = ("127.0.0.1", free_port)
    with socket.create_server(address) as server, socket.create_connection(address) as client:
        server.accept()[0].close()
        client.recv(1)
    check(Settings(grpc_port=free_port))


def test_without_certificates_there_is_no_tls():
    assert credentials(Settings()) is None


def test_certificates_that_fit_are_taken(certificates, free_port):
    settings = Settings(
        grpc_port=free_port,
        grpc_certificate=certificates / "server.pem",
        grpc_key=certificates / "server.key",
        grpc_client_ca=certificates / "ca.pem",
    )
    check(settings)
    assert credentials(settings) is not None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"grpc_certificate": "server.pem"}, "needs DRUGPRED_GRPC_CERTIFICATE and DRUGPRED_GRPC_KEY, both"),
        ({"grpc_key": "server.key"}, "needs DRUGPRED_GRPC_CERTIFICATE and DRUGPRED_GRPC_KEY, both"),
        ({"grpc_client_ca": "ca.pem"}, "needs DRUGPRED_GRPC_CERTIFICATE and DRUGPRED_GRPC_KEY, both"),
        ({"grpc_certificate": "server.pem", "grpc_key": "client.key"}, "expected PEM files"),
        ({"grpc_certificate": "nowhere.pem", "grpc_key": "server.key"}, "expected PEM files"),
        ({"grpc_certificate": "server.key", "grpc_key": "server.key"}, "expected PEM files"),
        (
            {"grpc_certificate": "server.pem", "grpc_key": "server.key", "grpc_client_ca": "server.key"},
            "expected PEM files",
        ),
    ],
)
def test_certificates_that_do_not_fit_end_the_start(certificates, free_port, files, message):
    settings = Settings(grpc_port=free_port, **{name: certificates / file for name, file in files.items()})
    with pytest.raises(ConfigurationError, match=message):
        check(settings)
