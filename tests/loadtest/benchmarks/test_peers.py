"""Other ways to serve the same model: requirements, requests and answers."""

import os
import sys
from contextlib import ExitStack

import numpy as np
import pytest

from drugpred.codebook import WINDOWS
from drugpred.schemas import EXAMPLE, Profile
from loadtest.benchmarks.peers import environments, registry
from loadtest.benchmarks.peers.network import model
from loadtest.benchmarks.targets import of_peers
from tests.harness import ROOT
from tests.loadtest.conftest import STUBBORN

NAMES = [
    "fastapi_scorer",
    "asgi_empty",
    "fastapi_pipeline",
    "bentoml_stock",
    "bentoml_tuned",
    "bentoml_pipeline",
    "mlserver",
    "mlserver_network",
    "mlflow",
    "litserve",
    "litserve_network",
    "kserve_network",
    "ray_serve_network",
]
SAID = [i / 18 for i in range(18)]
ANSWERS = {
    "fastapi_scorer": {"risks": [{"drug": "alcohol", "probability": one} for one in SAID]},
    "asgi_empty": {"risks": [{"drug": "alcohol", "probability": one} for one in SAID]},
    "bentoml_tuned": {"risks": [{"drug": "alcohol", "probability": one} for one in SAID]},
    "bentoml_stock": {"risks": [{"drug": "alcohol", "probability": one} for one in SAID]},
    "fastapi_pipeline": SAID,
    "bentoml_pipeline": [SAID],
    "mlserver": {"model_name": "drug_consumption", "outputs": [{"shape": [1, 18], "data": SAID}]},
    "mlflow": {"predictions": [SAID]},
    "litserve": {"probabilities": SAID},
    "mlserver_network": {"model_name": "drug_consumption", "outputs": [{"shape": [1, 18], "data": SAID}]},
    "litserve_network": {"probabilities": SAID},
    "kserve_network": {"predictions": [SAID]},
    "ray_serve_network": SAID,
}


@pytest.fixture
def peer():
    """Return a function that makes a peer out of code that takes a port."""

    class Fake(registry.Peer):
        code: str

        def command(self, port):
            return [sys.executable, "-c", self.code, str(port)]

    def make(code):
        fake = Fake("fake", "Fake", SAID, list)
        object.__setattr__(fake, "code", code)
        return fake

    return make


def test_each_has_a_module_and_its_requirements():
    folder = ROOT / "loadtest" / "benchmarks" / "peers"
    assert [peer.name for peer in registry.PEERS] == NAMES
    for name in NAMES:
        assert (folder / f"{name.removesuffix('_network')}.py").is_file()
    requirements = {path.stem for path in folder.glob("*.txt")}
    assert requirements == {"pipeline", *(peer.environment for peer in registry.PEERS)}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("fastapi_scorer", ["fastapi_scorer"]),
        ("litserve,mlserver", ["fastapi_scorer", "mlserver", "litserve"]),
        ("", ["fastapi_scorer"]),
    ],
)
def test_the_measure_is_always_chosen(names, expected):
    assert [peer.name for peer in registry.chosen(names)] == expected


def test_all_get_the_same_person():
    row = Profile.model_validate(EXAMPLE).row()
    bodies = {peer.name: peer.body for peer in registry.PEERS}
    assert (
        bodies["fastapi_scorer"]
        == bodies["asgi_empty"]
        == bodies["fastapi_pipeline"]
        == bodies["bentoml_stock"]
        == EXAMPLE
        == bodies["bentoml_tuned"]
    )
    assert bodies["bentoml_pipeline"] == {"rows": [row]}
    assert bodies["mlserver"]["inputs"][0]["data"] == row
    assert bodies["mlflow"] == {"inputs": [row]}
    assert bodies["litserve"] == {"row": row} == bodies["litserve_network"] == bodies["ray_serve_network"]
    assert bodies["mlserver_network"] == bodies["mlserver"]
    assert bodies["kserve_network"] == {"instances": [row]}


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_found_in_its_answer(name):
    (peer,) = (peer for peer in registry.PEERS if peer.name == name)
    assert peer.probabilities(ANSWERS[name]) == SAID


@pytest.mark.parametrize(("arguments", "kind"), [([], "Decade"), (["network"], "Network")])
def test_the_models_of_the_peers_predict_like_the_predictor(stored_model, real, monkeypatch, arguments, kind):
    monkeypatch.setenv("STORED_MODEL", str(stored_model.path))
    monkeypatch.setattr(sys, "argv", ["peer", "8000", *arguments])
    served = model()
    assert type(served).__name__ == kind
    expected = stored_model.predictor.predict_proba(real.X)[:, :, WINDOWS.index("decade")]
    np.testing.assert_allclose(served.probabilities(real.X), expected, rtol=0, atol=1e-9)


@pytest.mark.slow  # three environments
def test_an_environment_is_made_once_and_again_where_more_is_wanted(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(environments, "_HERE", tmp_path)
    (tmp_path / "pipeline.txt").write_text("# nothing\n")
    wanted = tmp_path / "some.txt"
    wanted.write_text("# nothing\n")
    python = environments.python("some")
    assert os.access(python, os.X_OK)
    assert python.is_relative_to(tmp_path / "cache" / "drugpred" / "peers" / "some")
    assert "creating the environment of some" in capsys.readouterr().err
    environments.python("some")
    assert capsys.readouterr().err == ""
    wanted.write_text(f"{tmp_path}/missing\n")
    for _ in range(2):  # what failed is not taken for made
        with pytest.raises(environments.EnvironmentFailedError, match=r"^no environment: .*missing"):
            environments.python("some")
        assert "creating the environment of some" in capsys.readouterr().err


def test_a_peer_without_an_environment_is_named(model, tmp_path, monkeypatch):
    def fail(name):
        raise environments.EnvironmentFailedError("no environment: No solution found")

    monkeypatch.setattr(environments, "python", fail)
    failures = []
    with ExitStack() as stack:
        assert of_peers(stack, registry.chosen("mlserver")[1:], model, failures) == []
    assert failures == ["MLServer, pipeline: no environment: No solution found"]


@pytest.mark.slow
def test_a_peer_that_does_not_start_is_named_with_its_last_words(peer, model, tmp_path, capsys):
    failures, working, ending = [], peer(STUBBORN), peer("print('one', flush=True); raise SystemExit('no port for me')")
    with ExitStack() as stack:
        (found,) = of_peers(stack, [ending, working], model, failures)
    (failure,) = failures
    assert failure.startswith("Fake: no answer from http://127.0.0.1:")
    assert failure.endswith(": no port for me")
    assert capsys.readouterr().err == "one\nno port for me\n"  # all of its log
    assert found.probabilities == SAID
