"""The modules of loadtest/, and real servers to load."""

import importlib
from pathlib import Path

import pytest

from tests.end_to_end.conftest import launch, serve, server  # noqa: F401 - fixtures

ROOT = Path(__file__).parents[2]


@pytest.fixture
def module(monkeypatch):
    """Return what imports a module of loadtest/ as locust does: from its own folder."""

    def load(path: str):
        monkeypatch.syspath_prepend(ROOT / "loadtest" / Path(path).parent)
        # It would patch the whole process for gevent.
        monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
        return importlib.import_module(Path(path).name)

    return load
