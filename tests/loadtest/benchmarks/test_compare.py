"""The comparison with peers: its reports, and a whole run."""

import re
import shutil
import sys

import pytest

from drugpred.errors import StoredModelError
from loadtest.benchmarks import compare
from tests.harness import skip
from tests.harness.store import using


def test_failures_are_printed_and_the_exit_code_is_1(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare.py"])
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    monkeypatch.setattr(compare, "compare", lambda *_: ["MLServer, pipeline: no environment: why"])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    assert ended.value.code == 1
    assert capsys.readouterr().out == "\nNot measured:\nMLServer, pipeline: no environment: why\n"


def test_without_a_model_it_says_so(monkeypatch):
    def missing(*_):
        raise StoredModelError("no model drug_consumption in the BentoML model store; run `python train.py` first")

    monkeypatch.setattr(sys, "argv", ["compare.py"])
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    monkeypatch.setattr(compare, "compare", missing)
    with pytest.raises(SystemExit, match=r"^error: no model drug_consumption in the BentoML model store"):
        compare.main()


def test_without_load_generators_it_names_the_packages(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["compare.py"])
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(SystemExit, match=r"^install h2load and wrk first"):
        compare.main()


def test_an_unknown_peer_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare.py", "--peers", "flask"])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    assert ended.value.code == 2
    assert "no peer flask; expected fastapi_scorer, asgi_empty," in capsys.readouterr().err


def once(loads, clients, seconds, failures, rounds):
    """Load each target once, with the most clients: test_generators.py has the turns."""
    return [{title: [load(clients[-1], seconds)] for title, load in loads.items()}] * len(clients)


@pytest.mark.slow
def test_every_target_answers_without_an_error(store, monkeypatch, capsys):
    if not (shutil.which("h2load") and shutil.which("wrk")):
        skip("no h2load and wrk to load servers with: apt-get install nghttp2-client wrk")
    arguments = ["--seconds", "1", "--rounds", "1", "--peers", "fastapi_pipeline"]
    monkeypatch.setattr(sys, "argv", ["compare.py", *arguments])
    monkeypatch.setattr(compare, "measure", once)
    with using(store):
        compare.main()  # it exits where targets differ in their probabilities
    output = capsys.readouterr().out
    rows = {
        title: [float(figure) for figure in row.split()]
        for title, row in re.findall(r"^(\S.*?)  +([\d. ]+)$", output, re.MULTILINE)
    }
    assert {title: len(row) for title, row in rows.items()} == {
        "drugpred, HTTP": 9,
        "drugpred, gRPC": 9,
        "FastAPI, our predictor": 9,
        "FastAPI, pipeline": 9,
        "18 drugs": 4,
        "1 drug": 4,
        "1 worker": 8,
        "2 workers": 8,
        "open": 9,
        "keys and limit": 9,
    }
    assert all(figure > 0 for row in rows.values() for figure in row)
    assert rows["FastAPI, our predictor"][2::3] == [1, 1, 1]
    assert rows["1 worker"][2::4] == [1, 1]
