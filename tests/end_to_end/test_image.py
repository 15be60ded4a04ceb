"""The image of `bentoml containerize`, run as in production: its content and its serving."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import uv
from bentoml._internal.bento import BentoStore
from packaging.requirements import Requirement

from drugpred.client import Client
from drugpred.schemas import EXAMPLE
from tests.harness import ROOT
from tests.harness.containers import BASE, IMAGE, SECRET
from tests.harness.ports import free_ports
from tests.harness.store import NEWER

pytestmark = pytest.mark.slow

LOCK = ROOT / "configs" / "locks" / "serve.txt"
MOST = 400_000_000
"""Bytes of an image."""
ONE_CPU = "--cpus=1"
COMPILERS = {"as", "c++", "cargo", "cc", "clang", "g++", "gcc", "git", "go", "ld", "make", "rustc"}
NOT_SERVING = {
    "hypothesis",
    "imbalanced-learn",
    "joblib",
    "matplotlib",
    "mlflow",
    "mypy",
    "pandas",
    "pyarrow",
    "pytest",
}
NOT_SERVING |= {"ruff", "scikit-learn", "scipy", "skops"}
CREDENTIALS = re.compile(rb"://[^/@\s\"'\[]+:[^/@\s\"']+@|-----BEGIN [A-Z ]*PRIVATE KEY-----")
PACKAGES = "app/.venv/lib/"


@pytest.fixture(scope="module")
def container(podman, image):
    """The image, running, with how long it took to be ready."""
    started = time.monotonic()
    with podman.serve(image, ONE_CPU, ports=tuple(free_ports(2))) as container:
        container.wait_until_ready()
        container.seconds = time.monotonic() - started
        yield container


@pytest.fixture(scope="module")
def configuration(podman, image):
    """What an engine knows of the image."""
    return json.loads(podman("image", "inspect", image))[0]


@pytest.fixture(scope="module")
def tree(podman, image, tmp_path_factory):
    """All files of the image, as a tar."""
    path = tmp_path_factory.mktemp("tree") / "tree.tar"
    name = podman("create", "--no-healthcheck", image)
    try:
        podman("export", f"--output={path}", name)
    finally:
        podman("rm", name)
    with tarfile.open(path) as tree:
        yield tree
    path.unlink()


def contents(tree):
    for member in tree:
        if member.isfile():
            yield member.name.removeprefix("./"), tree.extractfile(member).read()


@pytest.fixture
def report(pytestconfig, capfd):
    """Return a function that shows a line to the person who runs the tests."""

    def show(line):
        with capfd.disabled():
            pytestconfig.get_terminal_writer().line(f"\nimage: {line}")

    return show


def test_it_is_small(configuration, report):
    report(f"{configuration['Size'] / 1e6:.0f} MB")
    assert configuration["Size"] <= MOST


def test_it_says_how_it_runs(configuration):
    config = configuration["Config"]
    assert config["User"] == "bentoml"
    assert set(config["ExposedPorts"]) == {"3000/tcp", "3001/tcp"}
    assert config["Entrypoint"] == ["/home/bentoml/bento/env/docker/entrypoint.sh"]  # no shell between it and signals
    assert configuration["Healthcheck"]["Test"][0] == "CMD"
    assert "BENTOML_HOME=/tmp/bentoml" in config["Env"]


def test_it_is_ready_soon_and_frugal(container, podman, report):
    used = podman("stats", "--no-stream", "--format={{.MemUsage}}", container.id)
    report(f"ready {container.seconds:.1f} s after podman run {ONE_CPU}, memory {used}")
    assert container.state()["Running"]


def test_it_answers_over_http_and_grpc(container, people, expected):
    for url in (container.url, f"grpc://{container.grpc}"):
        with Client(url) as client:
            assert client.predict(EXAMPLE).window == "decade"
            answers = client.predict_batch(people[:100])
        found = [[risk["probability"] for risk in answer.risks] for answer in answers]
        np.testing.assert_allclose(found, expected[:100, :, 1], atol=5e-5)


def test_it_is_healthy_and_counts(container, podman):
    podman("healthcheck", "run", container.id)
    assert "drugpred_predictions_total" in httpx.get(f"{container.url}/metrics").text


def test_it_is_nobody_with_no_rights(container):
    assert container.execute("id", "-u") == "1034"
    status = container.execute("cat", "/proc/1/status")
    assert set(re.findall(r"Cap(?:Inh|Prm|Eff|Bnd|Amb):\s+(\d+)", status)) == {"0" * 16}
    assert "NoNewPrivs:\t1" in status


def test_without_settings_it_listens_on_both_ports_and_writes_to_tmp_alone(podman, image):
    done = podman("run", "--detach", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=all", image)
    try:
        deadline = time.monotonic() + 120
        while podman.podman("healthcheck", "run", done).returncode and time.monotonic() < deadline:
            time.sleep(0.2)
        podman("healthcheck", "run", done)
        lines = podman("exec", done, "cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
        listening = [line.split()[1] for line in lines if " 0A " in line]
        everywhere = {int(match[1], 16) for each in listening if (match := re.fullmatch(r"0+:(\w+)", each))}
        assert {3000, 3001} <= everywhere, listening
    finally:
        podman.podman("rm", "--force", "--time=2", done)


def test_sigterm_ends_it_without_an_error(podman, image):
    with podman.serve(image, ports=tuple(free_ports(2))) as container:
        container.wait_until_ready()
        state = container.stop()
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False), container.log
        assert "Traceback" not in container.log


def test_it_is_unhealthy_without_a_service(podman, image):
    name = podman("run", "--detach", "--network=none", "--entrypoint=sleep", image, "60")
    try:
        assert podman.podman("healthcheck", "run", name).returncode == 1
    finally:
        podman.podman("rm", "--force", "--time=0", name)


def test_it_serves_another_model_that_is_mounted(podman, image, image_home, stored_model, tmp_path):
    home = shutil.copytree(image_home, tmp_path / "home")
    environment = os.environ | {"BENTOML_HOME": str(home)}
    newer = subprocess.run(
        [sys.executable, "-c", NEWER], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    subprocess.run(["chmod", "-R", "a+rX", home / "models"], check=True)
    mounted = {home / "models": "/home/bentoml/bento/models"}
    for settings, served in (({"DRUGPRED_MODEL": newer}, newer), ({}, stored_model.tag)):
        with podman.serve(image, ports=tuple(free_ports(2)), environment=settings, volumes=mounted) as container:
            container.wait_until_ready()
            assert httpx.get(f"{container.url}/model").json()["model"] == served


def test_it_holds_the_packages_of_the_lock_and_no_other(tree, container):
    python = container.execute("python", "-c", "import platform; print(platform.python_version())")
    own = {"python_full_version": python}  # not that of the tests
    metadata = re.compile(PACKAGES + r".+/site-packages/([^/]+)-([^-/]+)\.dist-info/RECORD")
    matches = [match for name in tree.getnames() if (match := metadata.fullmatch(name))]
    found = {match[1].lower().replace("_", "-"): match[2] for match in matches}
    lines = [line.removesuffix("\\") for line in LOCK.read_text("utf-8").splitlines() if "==" in line]
    locked = [Requirement(line) for line in lines]
    wanted = {each.name: str(each.specifier)[2:] for each in locked if each.marker is None or each.marker.evaluate(own)}
    assert found == wanted
    assert not set(found) & NOT_SERVING


def test_it_holds_no_compiler_and_nothing_that_makes_root(tree):
    for member in tree:
        path = Path(member.name)
        assert not (path.parent.name in {"bin", "sbin"} and path.name in COMPILERS), member.name
        assert not (member.isfile() and member.mode & 0o6000), member.name


def test_it_holds_no_credential(tree, podman, configuration, image, image_home):
    history = podman("history", "--no-trunc", "--format=json", image) + json.dumps(configuration)
    certificates = "etc/ssl/certs/ca-certificates.crt"
    base = podman("run", "--rm", BASE, "cat", f"/{certificates}")
    assert not CREDENTIALS.search(history.encode()), history
    assert SECRET not in history
    for name, content in contents(tree):
        assert SECRET.encode() not in content, name
        if name == certificates:
            assert content.decode().strip() == base
        elif name.startswith(("etc/", "home/", "opt/", "root/", "srv/", "tmp/")):
            assert not CREDENTIALS.search(content), name
        assert not name.endswith("uv.toml") or not content, name


def test_it_holds_no_respondent(tree, records_in):
    own = [(name, content) for name, content in contents(tree) if name.startswith(("home/", "opt/", "root/", "srv/"))]
    assert any(name.endswith("network.npz") for name, _ in own)
    for name, content in own:
        assert not records_in(content), name
        assert Path(name).suffix not in {".data", ".parquet", ".pkl", ".joblib"}, name


def test_two_bentos_of_one_commit_make_the_same_image(image, image_home, tmp_path):
    home = shutil.copytree(image_home, tmp_path / "home")
    store = BentoStore(home / "bentos")
    environment = os.environ | {"BENTOML_HOME": str(home)}
    command = [sys.executable, "-m", "bentoml", "build"]
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    first, second = (Path(bento.path) for bento in store.list("drugpred"))

    def files(path):
        return {each.relative_to(path): each.read_bytes() for each in path.rglob("*") if each.is_file()}

    one, other = files(first), files(second)
    assert {name for name in one | other if one.get(name) != other.get(name)} == {Path("bento.yaml")}  # tag and time


@pytest.mark.parametrize("platform", ["x86_64", "aarch64"])
def test_the_lock_has_wheels_for_both_platforms(platform, tmp_path):
    command = [uv.find_uv_bin(), "pip", "install", "--no-config", "--dry-run", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", f"--python-platform={platform}-manylinux_2_28", "--target", str(tmp_path)]
    command += [f"--python-version={IMAGE['python_version']}", "--requirements", str(LOCK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "+ numpy==" in done.stderr
