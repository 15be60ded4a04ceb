"""Address and TLS certificates of the gRPC server, checked before a worker starts."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import grpc

from drugpred.errors import ConfigurationError
from drugpred.serving import ports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from drugpred.settings import Settings


def address(port: int) -> str:
    """Return the address to listen on: that of HTTP, which `Supervisor` passes to workers, else loopback."""
    return ports.address(os.environ.get("BENTOML_HOST", "127.0.0.1"), port)


def check(settings: Settings) -> None:
    """Check the TLS settings.

    Raises
    ------
    ConfigurationError
        A certificate or key is missing or does not match.
    """
    certificate, key, ca = settings.grpc_certificate, settings.grpc_key, settings.grpc_client_ca
    if certificate is None and key is None and ca is None:
        return
    if certificate is None or key is None:
        raise ConfigurationError("TLS for gRPC needs both DRUGPRED_GRPC_CERTIFICATE and DRUGPRED_GRPC_KEY")
    check_files({"certificate": certificate, "key": key, **({"ca": ca} if ca else {})}, "gRPC")


def check_files(files: Mapping[str, Path], what: str) -> None:
    """Check a certificate, its key if it is in a file of its own, and the CA of clients.

    Raises
    ------
    ConfigurationError
        They cannot be read or do not match.
    """
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files["certificate"], files.get("key"), password="")  # never prompts
        if "ca" in files:
            context.load_verify_locations(files["ca"])
    except OSError as error:  # ssl's errors are OSErrors
        raise ConfigurationError(
            f"expected PEM files of a certificate and its unencrypted key for {what}: {error}"
        ) from None


def credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Return the credentials of the server, or None without TLS."""
    if settings.grpc_certificate is None or settings.grpc_key is None:
        return None
    pair = (settings.grpc_key.read_bytes(), settings.grpc_certificate.read_bytes())
    ca = settings.grpc_client_ca.read_bytes() if settings.grpc_client_ca else None
    return grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=ca is not None)
