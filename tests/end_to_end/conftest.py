"""Fixtures for tests of a real server: clients, payloads and expected answers, and clients of other projects."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from drugpred.codebook import describe
from tests.harness import skip

# Settings under which every service must answer the same.
VARIANTS = {"patches off": {"DRUGPRED_PATCHES": "off"}, "fast path off": {"DRUGPRED_FAST_PATH": "0"}}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test marked as conformance with these settings too, all with the same in one process."""
    if metafunc.definition.get_closest_marker("conformance") and "service_settings" in metafunc.fixturenames:
        variants = [
            pytest.param(values, id=name, marks=[pytest.mark.slow, pytest.mark.xdist_group(name)])
            for name, values in VARIANTS.items()
            if name != "fast path off" or "grpc" not in metafunc.definition.nodeid  # the fast path is of HTTP
        ]
        # By default None, as without a parameter: otherwise the session's server would start again for other tests.
        metafunc.parametrize(
            "service_settings", [pytest.param(None, id="default"), *variants], indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def client(server):
    with server.client() as client:
        yield client


@pytest.fixture(scope="session")
def people(real) -> list[dict[str, object]]:
    """The 1885 respondents as a caller would write them."""
    return [describe(row) for row in real.X.tolist()]


@pytest.fixture(scope="session")
def expected(stored_model, real):
    """What the predictor says of them, shape (1885, 18, 6)."""
    return stored_model.predictor.predict_proba(real.X)


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> Callable[..., Path]:
    """Return a function that makes an environment, given what `pip install` is, and returns its `bin` folder.

    It takes a second if uv has the packages in its cache. Clients of other projects need their own versions of gRPC and
    protobuf.
    """

    @cache
    def make(*arguments: str | Path) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        python = folder / "bin" / "python"
        for command in (
            ["venv", "--python", sys.executable, folder],
            ["pip", "install", "--python", python, *arguments],
        ):
            done = subprocess.run(
                [sys.executable, "-m", "uv", *map(str, command)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                skip(f"{arguments[-1]} cannot be installed: {done.stderr.strip()}")
        return python.parent

    return make


@pytest.fixture(scope="session")
def triton(environment) -> Path:
    """The Python of an environment with the Triton client."""
    return environment("tritonclient[grpc,http]==2.73.0") / "python"
