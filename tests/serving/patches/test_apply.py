"""What of BentoML is replaced; each test fails where BentoML no longer takes it from where it is put."""

import asyncio
import subprocess
import sys

import bentoml
import httpx
import pytest
from _bentoml_impl.server import app
from bentoml._internal.server.http import instruments, traffic
from bentoml._internal.utils import circus

from drugpred.errors import ConfigurationError
from drugpred.serving.patches import apply
from drugpred.serving.patches.circus_arbiter import Supervisor
from drugpred.serving.patches.request_metrics import RequestMetricsMiddleware
from tests.conftest import ROOT

PARTS = ((instruments, "RunnerTrafficMetricsMiddleware"), (traffic, "TimeoutMiddleware"), (circus, "Arbiter"))


@pytest.fixture
def installed(monkeypatch):
    for module, name in PARTS:
        monkeypatch.setattr(module, name, getattr(module, name))  # to be put back
    apply.install()


@bentoml.service(name="doubling")
class Doubling:
    @bentoml.api
    async def double(self, numbers: list[int]) -> list[int]:
        return [2 * number for number in numbers]


@pytest.fixture
def factory(installed):
    Doubling.inject_config()
    return app.ServiceAppFactory(Doubling, is_main=True)


def test_bentoml_counts_by_our_middleware_and_sets_no_timer(factory):
    classes = [middleware.cls for middleware in factory.middlewares]
    assert RequestMetricsMiddleware in classes
    assert instruments.RunnerTrafficMetricsMiddleware is RequestMetricsMiddleware
    assert apply._without_timeout in classes
    assert not [cls for cls in classes if cls.__name__ in {"TimeoutMiddleware", "RunnerTrafficMetricsMiddleware"}]


def test_bentoml_starts_workers_by_our_arbiter(installed):
    arbiter = circus.create_standalone_arbiter([])
    assert isinstance(arbiter, Supervisor)
    assert arbiter.check_delay == 1.0
    arbiter.ctrl.sys_hdl.stop()  # the signals are the tests' again


@pytest.mark.filterwarnings("ignore:Accessing the 'model_fields'")  # BentoML does
def test_bentoml_answers_with_them(factory):
    async def ask():
        application = factory()
        transport = httpx.ASGITransport(application)
        async with (
            application.router.lifespan_context(application),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            return (await client.post("/double", json={"numbers": [1, 2, 3]})).json()

    assert asyncio.run(ask()) == [2, 4, 6]


def test_python_without_docstrings_is_refused_in_a_line():
    done = subprocess.run([sys.executable, "-OO", "-c", "import service"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: expected Python without -OO")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("module", "name"), PARTS)
def test_a_bentoml_without_them_is_told_at_once(monkeypatch, installed, module, name):
    monkeypatch.delattr(module, name)
    with pytest.raises(ConfigurationError, match=name):
        apply.install()
