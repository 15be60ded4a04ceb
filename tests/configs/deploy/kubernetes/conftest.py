"""Servers as the manifests have them."""

import base64
import hashlib
import subprocess

import pytest
import yaml

from tests.configs.deploy.kubernetes.manifests import KUBERNETES, kubectl

CALLER = "a key that the caller has"


@pytest.fixture(scope="session")
def secrets(tmp_path_factory) -> dict[str, dict[str, str]]:
    """What secrets.sh makes of a caller's key, without a cluster: keys and values by name."""
    folder = tmp_path_factory.mktemp("secrets")
    digest = hashlib.sha256(CALLER.encode()).hexdigest()
    (folder / "callers").write_text(f"clinic predict,feedback,read {digest}\n", "utf-8")
    (folder / "kubectl").symlink_to(kubectl())
    command = [KUBERNETES / "secrets.sh", "drugpred", folder / "callers", "--dry-run=client", "-o", "yaml"]
    path = {"PATH": f"{folder}:/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=path)
    made = yaml.safe_load_all(done.stdout.replace("apiVersion:", "---\napiVersion:"))
    return {
        each["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in each["data"].items()}
        for each in made
        if each
    }
