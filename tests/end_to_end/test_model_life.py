"""A stored model is exported and promoted to another store by BentoML's commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT
from tests.harness.store import NEWER

pytestmark = pytest.mark.slow


def run(home, *command, folder=ROOT):
    environment = os.environ | {"BENTOML_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def staging(store, tmp_path_factory):
    """A store with a model and a newer one."""
    home = shutil.copytree(store, tmp_path_factory.mktemp("staging"), dirs_exist_ok=True)
    return home, run(home, "-c", NEWER)


def test_a_promoted_model_is_the_same_to_the_byte(staging, tmp_path):
    home, newer = staging
    run(home, "-m", "bentoml", "models", "export", newer, tmp_path / "model.bentomodel")
    run(tmp_path / "production", "-m", "bentoml", "models", "import", tmp_path / "model.bentomodel")
    path = Path("models", *newer.split(":"))
    folder = tmp_path / "production" / path
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    assert (folder / "SHA256SUMS").read_bytes() == (home / path / "SHA256SUMS").read_bytes()


def test_bentoml_reads_a_relative_path_from_the_root(staging, tmp_path):
    # The guide says to give absolute ones: so that who upgrades BentoML notices.
    path = Path("nowhere-6f1d", "model.bentomodel")
    environment = os.environ | {"BENTOML_HOME": str(staging[0])}
    command = [sys.executable, "-m", "bentoml", "models", "export", staging[1], str(path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"/{path}" in done.stderr
