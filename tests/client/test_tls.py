"""Own certificates, on both sides."""

import shutil
import ssl
import subprocess

import grpc
import pytest

from drugpred.errors import UnavailableError
from drugpred.schemas import EXAMPLE
from tests.harness import skip


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder with ca.pem, and server.pem and client.pem that it signed, each with its key."""
    if not shutil.which("openssl"):
        skip("no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")

    def make(name, *arguments):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]
        command = ["openssl", "req", "-x509", *key, "-out", f"{name}.pem", "-subj", f"/CN={name}", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    make("ca")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    make("server", *signed, "-addext", "subjectAltName=DNS:localhost")
    make("client", *signed)
    return folder


class HTTPS:
    def context(self, folder, purpose, name):
        context = ssl.create_default_context(purpose, cafile=folder / "ca.pem")
        if name:
            context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        return context

    def server(self, folder):
        context = self.context(folder, ssl.Purpose.CLIENT_AUTH, "server")
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self, folder, name):
        return self.context(folder, ssl.Purpose.SERVER_AUTH, name)


class GRPCS:
    def server(self, folder):
        pair = [(folder / f"server.{end}").read_bytes() for end in ("key", "pem")]
        return grpc.ssl_server_credentials([pair], (folder / "ca.pem").read_bytes(), require_client_auth=True)

    def client(self, folder, name):
        pair = [(folder / f"{name}.{end}").read_bytes() for end in ("key", "pem")] if name else []
        return grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes(), *pair)


@pytest.fixture(params=[("http_service", HTTPS()), ("rpc_service", GRPCS())], ids=["https", "grpcs"])
def secured(request, certificates):
    """A service that asks for the client's certificate, and what makes the client's side."""
    name, sides = request.param
    service = type(request.getfixturevalue(name))(sides.server(certificates))
    yield service, lambda name: sides.client(certificates, name)
    service.stop()


def test_own_certificates(make, secured):
    service, tls = secured
    with make(service.url, tls=tls("client")) as client:
        assert client.predict(EXAMPLE) == service.answer(0)


@pytest.mark.parametrize("own", [True, False], ids=["no certificate of the client", "an unknown signer"])
def test_others_are_not_spoken_to(make, secured, own):
    service, tls = secured
    with make(service.url, retries=0, tls=tls(None) if own else None) as client, pytest.raises(UnavailableError):
        client.predict(EXAMPLE)
    assert service.requests == []
