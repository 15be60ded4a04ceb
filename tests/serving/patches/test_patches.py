"""All patches: whether they are applied, whether BentoML uses them, and their table in README.md."""

import asyncio
import re
import subprocess
import sys
import tomllib

import bentoml
import httpx
import pytest
import uvicorn
from _bentoml_impl.server import app
from bentoml._internal.server.http import instruments, traffic
from bentoml._internal.utils import circus
from prometheus_client import values
from uvicorn.protocols.http import auto

from drugpred.serving import patches
from drugpred.serving.patches import request_timeout, uvicorn_server
from drugpred.serving.patches.circus_arbiter import Supervisor
from drugpred.serving.patches.request_metrics import RequestMetricsMiddleware
from tests.harness import ROOT

FOLDER = ROOT / "drugpred" / "serving" / "patches"
TARGETS = {
    "request_metrics": (instruments, "RunnerTrafficMetricsMiddleware"),
    "request_timeout": (traffic, "TimeoutMiddleware"),
    "circus_arbiter": (circus, "Arbiter"),
    "uvicorn_limits": (auto, "AutoHTTPProtocol"),
    "uvicorn_server": (uvicorn, "Server"),
}


@pytest.fixture
def unpatched(monkeypatch):
    """Everything as it is in the packages; the fixture puts it back."""
    for owner, name in (*TARGETS.values(), (values, "MmapedDict")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(patches, "_applied", {})


@pytest.fixture
def patched(unpatched):
    patches.apply(TARGETS)


@bentoml.service(name="doubling")
class Doubling:
    @bentoml.api
    async def double(self, numbers: list[int]) -> list[int]:
        return [2 * number for number in numbers]


@pytest.fixture
def factory(patched):
    Doubling.inject_config()
    return app.ServiceAppFactory(Doubling, is_main=True)


def test_bentoml_counts_by_our_middleware_and_sets_no_timer(factory):
    classes = [middleware.cls for middleware in factory.middlewares]
    assert RequestMetricsMiddleware in classes
    assert instruments.RunnerTrafficMetricsMiddleware is RequestMetricsMiddleware
    assert request_timeout._without_timeout in classes
    assert not [cls for cls in classes if cls.__name__ in {"TimeoutMiddleware", "RunnerTrafficMetricsMiddleware"}]


def test_bentoml_starts_workers_by_our_arbiter(patched):
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


def test_uvicorns_server_is_found_once_it_runs_and_stops_accepting(patched, monkeypatch):
    monkeypatch.setattr(uvicorn_server.Server, "running", None)

    async def serve():
        server = uvicorn.Server(uvicorn.Config(lambda *_: None, port=0, lifespan="off", log_config=None))
        serving = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        found = uvicorn_server.Server.running
        found.close_listeners()
        listening = any(each.is_serving() for each in server.servers)
        server.should_exit = True
        await serving
        return found is server, listening

    assert asyncio.run(serve()) == (True, False)


def test_python_without_docstrings_is_refused_in_a_line():
    done = subprocess.run([sys.executable, "-OO", "-c", "import service"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: expected Python without -OO")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", TARGETS)
def test_a_patch_without_its_target_is_left_out_with_a_line(unpatched, monkeypatch, caplog, name):
    monkeypatch.delattr(*TARGETS[name])
    patches.apply(TARGETS)
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith(f"without the patch {name}: ")
    assert TARGETS[name][1] in line
    assert [patches.applied(each) is None for each in TARGETS] == [each == name for each in TARGETS]


def test_a_patch_of_a_release_that_it_was_not_tried_with_is_left_out_with_a_line(unpatched, monkeypatch, caplog):
    monkeypatch.setattr(patches, "version", {"bentoml": "1.5.0rc1", "uvicorn": "0.54.1", "httptools": "0.9"}.get)
    patches.apply(["request_metrics", "uvicorn_limits"])
    assert caplog.messages == ["without the patch request_metrics: expected bentoml before 1.5, found 1.5.0rc1"]
    assert patches.applied("uvicorn_limits")


def test_off_means_none(unpatched, monkeypatch):
    before = [getattr(*target) for target in TARGETS.values()]
    monkeypatch.setenv("DRUGPRED_PATCHES", "off")
    patches.apply()
    assert [getattr(*target) for target in TARGETS.values()] == before
    assert not any(map(patches.applied, patches.PATCHES))


def test_a_setting_that_is_malformed_is_left_to_the_checks_of_the_start(unpatched, monkeypatch):
    monkeypatch.setenv("DRUGPRED_PATCHES", "perhaps")
    patches.apply(["request_timeout"])
    assert patches.applied("request_timeout")


def test_an_import_alone_changes_nothing():
    code = """if True:
        import pkgutil, threading
        from importlib import import_module
        import bentoml.serving, uvicorn, prometheus_client.values as values
        from bentoml._internal.utils import circus
        from grpc._cython import cygrpc
        def state():
            return circus.Arbiter, uvicorn.Server, values.ValueClass, values.MmapedDict, cygrpc.AioServer
        before = state()
        from drugpred.serving import patches
        for module in pkgutil.iter_modules(patches.__path__):
            import_module(f"drugpred.serving.patches.{module.name}")
        assert state() == before
        assert threading.active_count() == 1
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_table_and_the_bounds_are_those_of_the_code():
    assert {path.stem for path in FOLDER.glob("*.py")} == {"__init__", *patches.PATCHES}
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert list(rows) == list(patches.PATCHES)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dependencies = project["dependencies"] + project["optional-dependencies"]["serve"]
    for name, packages in patches.PATCHES.items():
        *_, test, bound = (cell.strip() for cell in rows[name].split("|"))
        assert (ROOT / re.fullmatch(r"\[.+\]\((?:\.\./)+(.+)\)", test)[1]).is_file()
        bounds = [f"{package} < {'.'.join(map(str, patches.PACKAGES[package]))}" for package in packages]
        assert bound == ", ".join(bounds)
        for package in packages:
            (required,) = (line for line in dependencies if re.match(rf"{package}\b(?!-)", line))
            assert required.endswith(f",<{'.'.join(map(str, patches.PACKAGES[package]))}")
