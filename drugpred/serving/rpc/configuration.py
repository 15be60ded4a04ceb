"""Where gRPC listens and with which certificates, checked before any worker starts."""

from __future__ import annotations

import json
import os
import socket
import ssl
from typing import TYPE_CHECKING

import grpc

from drugpred.errors import ConfigurationError

if TYPE_CHECKING:
    from drugpred.settings import Settings

__all__ = ["address", "check", "credentials"]


def address(service: str, port: int) -> str:
    """Return where to listen: on the address that `bentoml serve` was given for HTTP, on loopback outside of it.

    BentoML tells a worker where its services are found, and calls all interfaces localhost there.
    """
    found: str = json.loads(os.environ.get("BENTOML_RUNNER_MAP", "{}")).get(service, "http://127.0.0.1:0")
    host = found.partition("://")[2].rpartition(":")[0]
    if host == "localhost":
        host = "0.0.0.0"  # noqa: S104  # nosec B104 - as HTTP does
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check(settings: Settings) -> None:
    """Check what a worker needs to start.

    Raises
    ------
    ConfigurationError
        Something listens on the port already, with which the workers would share it unnoticed; or the certificates do
        not fit.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", settings.grpc_port))
        except OSError:
            raise ConfigurationError(
                f"port {settings.grpc_port} is in use; set DRUGPRED_GRPC_PORT to another one for gRPC"
            ) from None
    certificate, key, ca = settings.grpc_certificate, settings.grpc_key, settings.grpc_client_ca
    if certificate is None and key is None and ca is None:
        return
    if certificate is None or key is None:
        raise ConfigurationError("TLS for gRPC needs DRUGPRED_GRPC_CERTIFICATE and DRUGPRED_GRPC_KEY, both")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password="")  # asks for none
        if ca:
            context.load_verify_locations(ca)
    except OSError as error:  # of which ssl's errors are
        raise ConfigurationError(
            f"expected PEM files of a certificate and its unencrypted key for gRPC: {error}"
        ) from None


def credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Return what the server proves itself with, or None without TLS."""
    if settings.grpc_certificate is None or settings.grpc_key is None:
        return None
    pair = (settings.grpc_key.read_bytes(), settings.grpc_certificate.read_bytes())
    ca = settings.grpc_client_ca.read_bytes() if settings.grpc_client_ca else None
    return grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=ca is not None)
