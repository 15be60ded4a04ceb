"""Certificates for tests of TLS, made by openssl."""

import shutil
import subprocess
from pathlib import Path

from tests.harness import skip


def make_certificates(folder: Path, *names: str) -> Path:
    """Fill a folder with ca.pem, server.pem and client.pem that it signed, and other.pem; each with its key.

    The server is localhost, or has the names that are given.
    """
    if not shutil.which("openssl"):
        skip("no openssl to make certificates with")

    def make(name: str, *arguments: str) -> None:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]
        command = ["openssl", "req", "-x509", *key, "-out", f"{name}.pem", "-subj", f"/CN={name}", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    make("ca")
    make("other")
    make("client", *signed)
    alternatives = ",".join(f"DNS:{name}" for name in names or ["localhost"])
    make("server", *signed, "-addext", f"subjectAltName={alternatives}")
    return folder
