"""Other ways to serve the same model: what they need, are asked and answer, and how they are started and ended."""

import os
import signal
import sys
import time
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import psutil
import pytest

from drugpred.codebook import WINDOWS
from drugpred.schemas import EXAMPLE, Profile
from tests.conftest import ROOT

NAMES = ["fastapi_scorer", "fastapi_pipeline", "bentoml_stock", "bentoml_pipeline", "mlserver", "mlflow", "litserve"]
SAID = [i / 18 for i in range(18)]
ANSWERS = {
    "fastapi_scorer": {"risks": [{"drug": "alcohol", "probability": one} for one in SAID]},
    "bentoml_stock": {"risks": [{"drug": "alcohol", "probability": one} for one in SAID]},
    "fastapi_pipeline": SAID,
    "bentoml_pipeline": [SAID],
    "mlserver": {"model_name": "drug_consumption", "outputs": [{"shape": [1, 18], "data": SAID}]},
    "mlflow": {"predictions": [SAID]},
    "litserve": {"probabilities": SAID},
}

# Answers 200, and leaves a child behind that takes no notice of SIGTERM.
STUBBORN = """
import http.server, os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.rfile.read(int(self.headers["content-length"])))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def registry(module):
    module("peers")
    return import_module("peers.registry")


@pytest.fixture
def environments(registry):
    return import_module("peers.environments")


@pytest.fixture
def contestants(module):
    return module("contestants")


@pytest.fixture
def model(tmp_path):
    """Return what a server must be told of a stored model that it does not read."""
    path = tmp_path / "models" / "drug_consumption" / "abc"
    path.mkdir(parents=True)
    return SimpleNamespace(path=str(path), tag="drug_consumption:abc")


@pytest.fixture
def peer(registry):
    """Return what makes a peer out of code that takes a port."""

    class Fake(registry.Peer):
        code: str

        def command(self, port):
            return [sys.executable, "-c", self.code, str(port)]

    def make(code):
        fake = Fake("fake", "Fake", SAID, list)
        object.__setattr__(fake, "code", code)
        return fake

    return make


def test_each_has_a_module_and_its_requirements(registry):
    folder = ROOT / "loadtest" / "peers"
    assert [peer.name for peer in registry.PEERS] == NAMES
    for name in NAMES:
        assert (folder / f"{name}.py").is_file()
        assert (folder / f"{name}.txt").is_file()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("fastapi_scorer", ["fastapi_scorer"]),
        ("litserve,mlserver", ["fastapi_scorer", "mlserver", "litserve"]),
        ("", ["fastapi_scorer"]),
    ],
)
def test_the_measure_is_always_chosen(registry, names, expected):
    assert [peer.name for peer in registry.chosen(names)] == expected


def test_all_are_asked_of_the_same_person(registry):
    row = Profile.model_validate(EXAMPLE).row()
    bodies = {peer.name: peer.body for peer in registry.PEERS}
    assert bodies["fastapi_scorer"] == bodies["fastapi_pipeline"] == bodies["bentoml_stock"] == EXAMPLE
    assert bodies["bentoml_pipeline"] == {"rows": [row]}
    assert bodies["mlserver"]["inputs"][0]["data"] == row
    assert bodies["mlflow"] == {"inputs": [row]}
    assert bodies["litserve"] == {"row": row}


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_found_in_its_answer(registry, name):
    (peer,) = (peer for peer in registry.PEERS if peer.name == name)
    assert peer.probabilities(ANSWERS[name]) == SAID


def test_the_pipeline_of_the_peers_says_what_the_predictor_says(registry, stored_model, real, monkeypatch):
    monkeypatch.setenv("STORED_MODEL", str(stored_model.path))
    decade = import_module("peers.pipeline").Decade()
    expected = stored_model.predictor.predict_proba(real.X)[:, :, WINDOWS.index("decade")]
    np.testing.assert_allclose(decade.probabilities(real.X), expected, rtol=0, atol=1e-9)


@pytest.mark.slow  # three environments
def test_an_environment_is_made_once_and_again_where_more_is_wanted(environments, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(environments, "_HERE", tmp_path)
    (tmp_path / "pipeline.txt").write_text("# nothing\n")
    wanted = tmp_path / "some.txt"
    wanted.write_text("# nothing\n")
    python = environments.python("some", pipeline=True)
    assert os.access(python, os.X_OK)
    assert python.is_relative_to(tmp_path / "cache" / "drugpred" / "peers" / "some")
    assert "making the environment of some" in capsys.readouterr().err
    environments.python("some", pipeline=True)
    assert capsys.readouterr().err == ""
    wanted.write_text(f"{tmp_path}/missing\n")
    for _ in range(2):  # what failed is not taken for made
        with pytest.raises(
            environments.EnvironmentFailedError, match=r"^no environment: .*Invalid requirement|missing"
        ):
            environments.python("some", pipeline=True)
        assert "making the environment of some" in capsys.readouterr().err


def test_a_peer_without_an_environment_is_told(contestants, environments, registry, model, tmp_path, monkeypatch):
    def fail(name, *, pipeline):
        raise environments.EnvironmentFailedError("no environment: ERROR: No matching distribution found for mlserver")

    monkeypatch.setattr(environments, "python", fail)
    failures = []
    with ExitStack() as stack:
        assert contestants.of_peers(stack, registry.chosen("mlserver")[1:], model, tmp_path, failures) == []
    assert failures == ["MLServer, pipeline: no environment: ERROR: No matching distribution found for mlserver"]


@pytest.mark.slow
def test_a_peer_that_does_not_start_is_told_with_its_last_words(contestants, peer, model, tmp_path, capsys):
    failures, working, ending = [], peer(STUBBORN), peer("print('one', flush=True); raise SystemExit('no port for me')")
    with ExitStack() as stack:
        (found,) = contestants.of_peers(stack, [ending, working], model, tmp_path, failures)
    (failure,) = failures
    assert failure.startswith("Fake: no answer from http://127.0.0.1:")
    assert failure.endswith(": no port for me")
    assert capsys.readouterr().err == "one\nno port for me\n"  # all of its log
    assert found.probabilities == SAID


@pytest.mark.slow
def test_a_server_is_ended_with_what_it_leaves_behind(module, peer, model, tmp_path):
    servers, ports = module("servers"), import_module("peers.ports")
    (port,) = ports.free_ports(1)
    with servers.serving(peer(STUBBORN).command(port), model, tmp_path) as server:
        server.answer(f"http://127.0.0.1:{port}", SAID)
        (child,) = server.family()
        os.kill(child.pid, signal.SIGTERM)
        time.sleep(0.1)
        assert child.is_running()
    assert server.process.poll() == -signal.SIGTERM
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running()
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"http://127.0.0.1:{port}", json=SAID)


def test_each_server_has_a_home_of_its_own_with_the_same_store(module, model, tmp_path):
    servers = module("servers")
    show = [sys.executable, "-c", "import os; print(os.environ['BENTOML_HOME'], os.environ['DRUGPRED_MODEL'])"]
    homes = []
    for _ in range(2):
        with servers.serving(show, model, tmp_path) as server:
            server.process.wait(30)
            home, tag = server.log.read_text().split()
        assert tag == "drug_consumption:abc"
        assert Path(home, "models", "drug_consumption", "abc").samefile(model.path)
        homes.append(home)
    assert len(set(homes)) == 2
