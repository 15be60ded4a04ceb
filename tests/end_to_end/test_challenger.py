"""A challenger in a real server of two workers: from its start to its verdict."""

import pytest

from drugpred.codebook import DRUGS
from drugpred.schemas import EXAMPLE
from tests.end_to_end.test_model_life import run
from tests.end_to_end.test_monitoring import KEY, ask_every_way, scraped
from tests.harness.store import NEWER, copy_of, newest

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


def test_two_workers_count_every_profile_and_score_both_models(serve, home, served, challenger):
    settings = {"DRUGPRED_MODEL": served, "DRUGPRED_CHALLENGER": challenger, "DRUGPRED_FEEDBACK_KEY": KEY}
    workers = "services.drugpred.workers=2"
    with serve(home, BENTOML_CONFIG_OPTIONS=workers, **settings) as server, server.client() as client:
        asked = ask_every_way(server, 6)
        answer = client.post("/predict", json=EXAMPLE).json()
        alone = {risk["drug"]: risk["probability"] for risk in answer["risks"]}
        assert answer["model"] == served
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
    with serve(home, DRUGPRED_MODEL=served, DRUGPRED_FEEDBACK_KEY=KEY) as server, server.client() as client:
        assert client.get("/challenger").status_code == 404
        again = client.post("/predict", json=EXAMPLE).json()
        assert {risk["drug"]: risk["probability"] for risk in again["risks"]} == alone
        # One key serves both, and an id may name a challenger that is gone.
        assert client.post("/feedback", json=outcomes).status_code == 409


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("served", "DRUGPRED_CHALLENGER: expected another model than drug_consumption:"),
        ("drug_consumption:nowhere", "no model drug_consumption:nowhere in the BentoML model store"),
        ("damaged", "train again with `python train.py`"),
    ],
)
def test_a_challenger_that_cannot_be_served_ends_the_start(launch, home, served, name, reason):
    if name == "damaged":
        name = run(home, "-c", NEWER)
        network = home / "models" / name.replace(":", "/") / "network.npz"
        network.write_bytes(network.read_bytes()[:-100])
    settings = {"DRUGPRED_MODEL": served, "DRUGPRED_CHALLENGER": served if name == "served" else name}
    server = launch(home, **settings)
    try:
        assert server.process.wait(60) == 1
    finally:
        server.stop()
    last = server.output.splitlines()[-1]
    assert last.startswith("error: ")
    assert reason in last
