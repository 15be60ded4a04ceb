"""The bento that `bentoml build` makes of the checkout: its files, its pins, and serving."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bentoml
import pytest
import yaml
from bentoml._internal.bento import BentoStore

from drugpred.schemas import EXAMPLE
from tests.harness import ROOT
from tests.harness.store import NEWER

pytestmark = pytest.mark.slow

SECRET = "token-6512bd43"


def run(home, folder, *arguments, **environment):
    environment = os.environ | {"BENTOML_HOME": str(home)} | environment
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def home(store, tmp_path_factory):
    """A copy of the store, with the bento in it."""
    home = shutil.copytree(store, tmp_path_factory.mktemp("home"), dirs_exist_ok=True)
    checkout = tmp_path_factory.mktemp("checkout") / "drugpred"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".git", ".*_cache", ".hypothesis", ".venv"))
    # What lies about in a checkout and on a machine.
    (checkout / "drug_consumption.data").write_text("1,0.49788\n")
    (checkout / "drugpred" / "data" / "drug_consumption.data").write_text("1,0.49788\n")
    (checkout / ".env").write_text(f"TOKEN={SECRET}\n")
    index = f"https://someone:{SECRET}@index.example/simple"
    indices = dict.fromkeys(
        ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX"), index
    )
    run(home, checkout, "-m", "bentoml", "build", **indices)
    return home


@pytest.fixture(scope="module")
def bento(home) -> bentoml.Bento:
    return BentoStore(home / "bentos").get("drugpred:latest")


def files(bento):
    return {path.relative_to(bento.path): path for path in Path(bento.path).rglob("*") if path.is_file()}


def test_it_holds_the_code_that_serves_and_nothing_else(bento):
    source = {path.relative_to("src").as_posix() for path in files(bento) if path.parts[0] == "src"}
    others = ("bulk", "cli", "client", "data", "training", "__main__.py", "frames.py", "model.py", "notebooks")
    package = [path.relative_to(ROOT) for path in (ROOT / "drugpred").rglob("*") if path.suffix in {".py", ".html"}]
    serving = {path.as_posix() for path in package if path.parts[1] not in others}
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / "drugpred" / "web").rglob("*.*")}
    configs = {"configs/service.yaml", "configs/deploy/image.yaml"}
    assert source == {"service.py", "bentofile.yaml"} | configs | serving | page


def test_it_holds_neither_data_nor_a_model(bento):
    assert not {path.suffix for path in files(bento)} & {".csv", ".data", ".npz", ".skops", ".pkl", ".joblib"}


def test_it_pins_the_model_and_every_package_that_serves(bento, stored_model):
    content = yaml.safe_load(files(bento)[Path("bento.yaml")].read_text(encoding="utf-8"))
    assert [model["tag"] for model in content["models"]] == [stored_model.tag]
    lines = files(bento)[Path("env/python/requirements.txt")].read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}
    assert {"bentoml", "httptools", "numpy", "pydantic", "starlette", "uvicorn"} <= pinned
    assert not pinned & {"imbalanced-learn", "matplotlib", "pandas", "scikit-learn", "scipy", "skops"}


def test_it_holds_no_index_and_no_credential(bento):
    for path in files(bento).values():
        text = path.read_bytes().decode(errors="replace")
        assert SECRET not in text, path
        assert "index-url" not in text, path
        assert "index.example" not in text, path


@pytest.fixture(scope="module")
def newer(home, bento):
    """The tag of a newer model than that of the bento."""
    return run(home, ROOT, "-c", NEWER)


def test_it_serves_its_own_model(serve, home, bento, newer, stored_model, tmp_path):
    assert newer != stored_model.tag
    (tmp_path / "home").symlink_to(home)
    relative = {"home": Path("home"), "DRUGPRED_FEEDBACK_FOLDER": "used"}  # relative to the folder of the command
    with serve(bento=str(bento.tag), folder=tmp_path, **relative) as server, server.client() as client:
        assert (tmp_path / "used" / "feedback.sqlite").is_file()
        assert client.get("/model").json()["model"] == stored_model.tag
        prediction = client.post("/predict", json=EXAMPLE).json()
        batch = client.post("/predict_batch", json={"profiles": [EXAMPLE]}).json()
        assert [answer["model"] for answer in (prediction, *batch)] == [stored_model.tag] * 2
        assert client.get("/").status_code == 200


def test_with_a_model_of_its_own_it_serves_others_of_the_store(serve, home, bento, newer, stored_model, tmp_path):
    """As in the image: the folder of the bento holds its model, and BENTOML_HOME others."""
    folder = shutil.copytree(bento.path, tmp_path / "bento")
    for tag, target in ((stored_model.tag, folder), (newer, tmp_path / "home")):
        path = Path("models", *tag.split(":"))
        shutil.copytree(home / path, target / path)
    with serve(tmp_path / "home", str(folder), tmp_path, DRUGPRED_MODEL=newer) as server, server.client() as client:
        assert client.get("/health").json()["model"] == newer
