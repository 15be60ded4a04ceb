"""Stores of BentoML with one model, trained by the command on the real data, once for all processes of a test run."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore
from filelock import FileLock

from drugpred import model_store
from tests.harness import ROOT

NEWER = """
from drugpred import model_store
old = model_store.load()
names = ("pipeline.skops", "network.npz", "background.npy", "uncertainty.npz")
files = [(old.path / name).read_bytes() for name in names]
print(model_store.write(*files, old.card, {}))
"""
"""Code that stores the newest model of a home once more, and prints its tag."""


def newest(home: Path) -> model_store.StoredModel:
    """Return the newest model of a BENTOML_HOME, as the service reads it."""
    return model_store.read(ModelStore(home / "models").get(model_store.NAME))


@contextmanager
def using(home: Path) -> Iterator[ModelStore]:
    """Have BentoML use a BENTOML_HOME in this process, and yield its model store, which is created if missing."""
    (home / "models").mkdir(parents=True, exist_ok=True)
    store = ModelStore(home / "models")
    BentoMLContainer.bentoml_home.set(str(home))
    BentoMLContainer.model_store.set(store)
    try:
        yield store
    finally:
        BentoMLContainer.model_store.reset()
        BentoMLContainer.bentoml_home.reset()


def load_train() -> ModuleType:
    """Return `train.py` as a module: this process has loaded the libraries already, which takes seconds."""
    spec = importlib.util.spec_from_file_location("train", ROOT / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copy_of(store: Path, folder: Path) -> Path:
    """Copy a store without what servers that ran on it have left."""
    return shutil.copytree(store, folder, ignore=shutil.ignore_patterns("prometheus_multiproc_dir*", "feedback"))


def trained(folders: pytest.TempPathFactory, name: str, *arguments: object) -> Path:
    """Return a BENTOML_HOME of this process with the model that the first process of the run has trained."""
    run = folders.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else folders.getbasetemp()
    home = run / f"trained-{name}"
    with FileLock(f"{home}.lock"):
        if not home.exists():
            new = run / f"{home.name}.part"
            with using(new), pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
                assert load_train().main() == 0
            new.rename(home)
    return copy_of(home, folders.mktemp(name) / "home")
