"""Where gRPC listens, and what ends the start."""

import pytest

from drugpred.errors import ConfigurationError
from drugpred.serving.grpc.binding import address, check, credentials
from drugpred.settings import Settings


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", "127.0.0.1:3001"), ("::1", "[::1]:3001")])
def test_it_listens_where_http_does(monkeypatch, host, expected):
    monkeypatch.setenv("BENTOML_HOST", host)
    assert address(3001) == expected


def test_outside_of_bentoml_it_listens_on_loopback(monkeypatch):
    monkeypatch.delenv("BENTOML_HOST", raising=False)
    assert address(3001) == "127.0.0.1:3001"


def test_without_certificates_there_is_no_tls():
    assert credentials(Settings()) is None


def test_certificates_that_fit_are_taken(certificates):
    settings = Settings(
        grpc_certificate=certificates / "server.pem",
        grpc_key=certificates / "server.key",
        grpc_client_ca=certificates / "ca.pem",
    )
    check(settings)
    assert credentials(settings) is not None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"grpc_certificate": "server.pem"}, "needs both DRUGPRED_GRPC_CERTIFICATE and DRUGPRED_GRPC_KEY"),
        ({"grpc_key": "server.key"}, "needs both DRUGPRED_GRPC_CERTIFICATE and DRUGPRED_GRPC_KEY"),
        ({"grpc_client_ca": "ca.pem"}, "needs both DRUGPRED_GRPC_CERTIFICATE and DRUGPRED_GRPC_KEY"),
        ({"grpc_certificate": "server.pem", "grpc_key": "client.key"}, "expected PEM files"),
        ({"grpc_certificate": "nowhere.pem", "grpc_key": "server.key"}, "expected PEM files"),
        ({"grpc_certificate": "server.key", "grpc_key": "server.key"}, "expected PEM files"),
        (
            {"grpc_certificate": "server.pem", "grpc_key": "server.key", "grpc_client_ca": "server.key"},
            "expected PEM files",
        ),
    ],
)
def test_certificates_that_do_not_fit_end_the_start(certificates, files, message):
    settings = Settings(**{name: certificates / file for name, file in files.items()})
    with pytest.raises(ConfigurationError, match=message):
        check(settings)
