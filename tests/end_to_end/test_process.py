"""The server as its operator meets it: its processes, memory, output, start and end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drugpred.schemas import EXAMPLE
from drugpred.serving.startup import Startup
from tests.harness import ROOT
from tests.harness.store import using

TRAINING_ONLY = {"imblearn", "joblib", "matplotlib", "pandas", "pooch", "scipy", "sklearn", "skops"}


@pytest.mark.conformance
def test_the_service_imports_nothing_that_trains(store):
    code = """if True:
        import sys
        from service import DrugPrediction
        DrugPrediction.inner()
        print(*{name.partition(".")[0] for name in sys.modules})
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"BENTOML_HOME": str(store)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert not loaded & TRAINING_ONLY


@pytest.mark.conformance
def test_workers_hold_nothing_that_trains_and_little_memory(server, client, service_settings):
    client.post("/predict", json=EXAMPLE)
    (worker,) = server.workers
    mapped = {Path(each.path).parts for each in worker.memory_maps() if "site-packages" in each.path}
    packages = {parts[parts.index("site-packages") + 1].partition(".")[0] for parts in mapped}
    assert "numpy" in packages
    assert not packages & (TRAINING_ONLY | {"scikit_learn"})
    assert worker.memory_info().rss < 200e6
    assert worker.environ().items() >= {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", **service_settings}.items()


MARKS = {"neuroticism": 0.27182818284, "extraversion": -1.41421356237, "openness": 1.73205080756}
MALFORMED = {
    "age": 223606797749,
    "gender": "gender-8f14e45f",
    "ethnicity": ["ethnicity-c9f0f895"],
    "neuroticism": 161803398874.5,
    "openness": "openness-45c48cce",
    "window": "window-d3d94468",
}


@pytest.mark.conformance
def test_no_value_of_a_profile_is_written_anywhere(server, client, store):
    for profile, status in ((EXAMPLE | MARKS, 200), (EXAMPLE | MALFORMED, 400)):
        assert client.post("/predict", json=profile).status_code == status
        assert client.post("/predict_batch", json={"profiles": [profile]}).status_code == status
        assert client.post("/predict", content=json.dumps(profile)[:-1]).status_code == 400
        assert client.post("/predict", files={"file": json.dumps(profile)}).status_code == 400
        assert client.put("/predict", json=profile).status_code == 405
        assert client.post("/nowhere", json=profile).status_code == 404
    written = [client.get("/metrics").content]
    written += [path.read_bytes() for home in (store, server.temporary) for path in home.rglob("*") if path.is_file()]
    values = [value[0] if isinstance(value, list) else value for value in (*MARKS.values(), *MALFORMED.values())]
    assert [value for value in values if any(str(value).encode() in content for content in written)] == []


@pytest.mark.slow
def test_a_model_that_was_altered_ends_the_start(launch, copied_store):
    (card,) = copied_store.rglob("card.json")
    card.write_text(card.read_text().replace('"keep"', '"drop"'))
    server = launch(copied_store)
    try:
        assert server.process.wait(60) == 1
    finally:
        server.stop()
    assert "card.json was changed" in server.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({}, "no model drug_consumption in the BentoML model store; run `python train.py` first"),
        (
            {"DRUGPRED_MODEL": "drug_consumption:nowhere"},
            "no model drug_consumption:nowhere in the BentoML model store",
        ),
    ],
)
def test_a_model_that_is_not_there_ends_the_start(tmp_path, monkeypatch, setting, message):
    monkeypatch.setattr(os, "environ", os.environ | setting)
    with using(tmp_path), pytest.raises(SystemExit, match=f"^error: {message}"):
        Startup().check()
