"""The life of a stored model: exported, promoted to another store, served and rolled back, by its commands."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bentoml._internal.bento import BentoStore

from drugpred.schemas import EXAMPLE
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


@pytest.fixture(scope="module")
def production(staging, stored_model, tmp_path_factory):
    """Another store, to which both were promoted."""
    home, newer = staging
    target = tmp_path_factory.mktemp("production")
    for tag in (stored_model.tag, newer):
        archive = tmp_path_factory.mktemp("archive") / "model.bentomodel"
        run(home, "-m", "bentoml", "models", "export", tag, archive)
        run(target, "-m", "bentoml", "models", "import", archive)
    return target


def test_a_promoted_model_is_the_same_to_the_byte(staging, production, stored_model):
    for tag in (stored_model.tag, staging[1]):
        path = Path("models", *tag.split(":"))
        folder = production / path
        subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=folder, check=True)
        assert (folder / "SHA256SUMS").read_bytes() == (staging[0] / path / "SHA256SUMS").read_bytes()


def test_bentoml_reads_a_relative_path_from_the_root(staging, tmp_path):
    # The guide says to give absolute ones: so that who upgrades BentoML notices.
    path = Path("nowhere-6f1d", "model.bentomodel")
    environment = os.environ | {"BENTOML_HOME": str(staging[0])}
    command = [sys.executable, "-m", "bentoml", "models", "export", staging[1], str(path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"/{path}" in done.stderr


def test_a_rollback_is_a_start_with_the_tag_of_before(serve, production, staging, stored_model):
    with serve(production) as server, server.client() as client:
        assert client.get("/model").json()["model"] == staging[1]
    began = time.monotonic()
    with serve(production, DRUGPRED_MODEL=stored_model.tag) as server, server.client() as client:
        assert client.post("/predict", json=EXAMPLE).json()["model"] == stored_model.tag
        took = time.monotonic() - began
    print(f"rolled back in {took:.1f} s")  # noqa: T201 - shown where it fails or with -s


def test_a_bento_with_a_model_of_its_own_serves_others_of_the_store(serve, staging, production, stored_model, tmp_path):
    """As in the image: the folder of the bento holds its model, and BENTOML_HOME others."""
    home = shutil.copytree(staging[0], tmp_path / "building")
    run(home, "-m", "bentoml", "build")
    bento = BentoStore(home / "bentos").get("drugpred:latest")
    folder = shutil.copytree(bento.path, tmp_path / "bento")
    own = Path("models", *staging[1].split(":"))
    shutil.copytree(home / own, folder / own)
    others = tmp_path / "home"
    shutil.copytree(
        production / Path("models", *stored_model.tag.split(":")),
        others / "models" / Path(*stored_model.tag.split(":")),
    )
    for environment, served in (({}, staging[1]), ({"DRUGPRED_MODEL": stored_model.tag}, stored_model.tag)):
        with serve(others, str(folder), tmp_path, **environment) as server, server.client() as client:
            assert client.get("/health").json()["model"] == served
