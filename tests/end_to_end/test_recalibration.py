"""From the outcomes that a real server of two workers counted to the version that is its challenger."""

import numpy as np
import pytest

from drugpred.codebook import DRUGS, describe
from drugpred.data.simulator import Cohort
from tests.end_to_end.test_model_life import run
from tests.harness.store import copy_of, newest

pytestmark = pytest.mark.slow

OPPOSITE = 0.2  # of the outcomes


@pytest.fixture
def home(store, tmp_path):
    return copy_of(store, tmp_path / "home")


def test_a_server_with_noisy_outcomes_gets_its_challenger(serve, home):
    served, rng = newest(home).tag, np.random.default_rng(1)
    rows = Cohort.load().rows(500, rng)
    probabilities = newest(home).predictor.predict_proba(rows)[:, :, 1]
    used = (rng.random(probabilities.shape) < probabilities) ^ (rng.random(probabilities.shape) < OPPOSITE)
    with serve(home, BENTOML_CONFIG_OPTIONS="services.drugpred.workers=2") as server, server.client() as client:
        answers = client.post("/predict_batch", json={"profiles": [describe(row) for row in rows.tolist()]}).json()
        for answer, of in zip(answers, used.tolist(), strict=True):
            outcomes = dict(zip(DRUGS, of, strict=True))
            body = {"prediction_id": answer["prediction_id"], "outcomes": outcomes}
            assert client.post("/feedback", json=body).status_code == 200
        output = run(home, "-m", "drugpred", "recalibrate", "--metrics", f"{server.url}/metrics")
    challenger = newest(home)
    assert f"stored {challenger.tag}, recalibrated from {served}, " in output
    assert len(challenger.card.recalibration.drugs) >= 9
    assert {of.outcomes for of in challenger.card.recalibration.drugs.values()} == {500}
    with serve(home, DRUGPRED_MODEL=served, DRUGPRED_CHALLENGER=challenger.tag) as server, server.client() as client:
        assert client.get("/challenger").json()["challenger"] == challenger.tag
        client.post("/predict_batch", json={"profiles": [describe(row) for row in rows.tolist()]}).raise_for_status()
