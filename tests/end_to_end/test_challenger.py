"""A challenger in a real server of two workers: from its start to its verdict."""

import json
import os

import pytest

from drugpred.codebook import DRUGS
from drugpred.errors import DuplicateFeedbackError
from drugpred.monitoring.feedback.dedup import SqliteTokenStore
from drugpred.monitoring.feedback.prediction_id import PredictionIdSigner
from drugpred.monitoring.feedback.service import FeedbackService
from drugpred.schemas import EXAMPLE
from drugpred.serving.startup import Startup
from tests.end_to_end.test_model_life import run
from tests.end_to_end.test_monitoring import KEY, ask_every_way, scraped
from tests.harness.store import NEWER, copy_of, newest, using

pytestmark = pytest.mark.slow

# Stores the newest model once more with all direct weights halved, and prints its tag.
WORSE = NEWER.replace(
    "print(",
    """
import numpy as np
from drugpred.predictor import to_npz
inputs, outputs, direct = old.predictor.weights()
arrays = {"inputs": inputs, "bias": np.zeros(len(outputs)), "outputs": outputs, "output_bias": np.zeros(108)}
files[1] = to_npz(arrays | {"direct": direct / 2})
print(""",
    1,
)


@pytest.fixture(scope="module")
def home(store, tmp_path_factory):
    return copy_of(store, tmp_path_factory.mktemp("challenger") / "home")


@pytest.fixture(scope="module")
def served(home):
    return newest(home).tag


@pytest.fixture(scope="module")
def challenger(home, served):
    return run(home, "-c", WORSE)


def test_two_workers_count_every_profile_and_score_both_models(serve, store, home, served, challenger, client):
    alone = client.post("/predict", json=EXAMPLE).json()  # of a server without a challenger
    settings = {"DRUGPRED_MODEL": served, "DRUGPRED_CHALLENGER": challenger, "DRUGPRED_FEEDBACK_KEY": KEY}
    workers = "services.drugpred.workers=2"
    with serve(home, BENTOML_CONFIG_OPTIONS=workers, **settings) as server, server.client() as client:
        asked = ask_every_way(server, 6)
        answer = client.post("/predict", json=EXAMPLE).json()
        assert answer["model"] == served
        assert answer["risks"] == alone["risks"]
        outcomes = {"prediction_id": answer["prediction_id"], "outcomes": {"cannabis": True, "lsd": False}}
        assert client.post("/feedback", json=outcomes).json() == {"accepted": 2}
        counts = scraped(server)
        assert [counts.total("drugpred_challenger_score_total", drug=drug) for drug in DRUGS] == [asked + 1] * 18
        assert counts.total("drugpred_challenger_predictions_total") == counts.total("drugpred_predictions_total")
        found = client.get("/challenger").json()
        assert (found["model"], found["challenger"], found["failed"]) == (served, challenger, False)
        assert found["people"] == 1
        assert found["brier"]["verdict"] is None
        assert found["disagreement"]["cannabis"]["mean_absolute"] > 0.01
        assert f"compared with its challenger {challenger}" in server.output
    # One key serves both, and an id may name a challenger that is gone.
    model, seen = newest(store), SqliteTokenStore(home / "feedback")
    with pytest.raises(DuplicateFeedbackError):
        FeedbackService(PredictionIdSigner.of(KEY, model), seen, model.card).take(json.dumps(outcomes).encode())
    seen.close()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("served", "DRUGPRED_CHALLENGER: expected another model than drug_consumption:"),
        ("drug_consumption:nowhere", "no model drug_consumption:nowhere in the BentoML model store"),
        ("damaged", "train again with `python train.py`"),
    ],
)
def test_a_challenger_that_cannot_be_served_ends_the_start(monkeypatch, home, served, name, reason):
    if name == "damaged":
        name = run(home, "-c", NEWER)
        network = home / "models" / name.replace(":", "/") / "network.npz"
        network.write_bytes(network.read_bytes()[:-100])
    settings = {"DRUGPRED_MODEL": served, "DRUGPRED_CHALLENGER": served if name == "served" else name}
    monkeypatch.setattr(os, "environ", os.environ | settings)
    with using(home), pytest.raises(SystemExit, match=f"^error: .*{reason}"):
        Startup().check()
