"""The default training run on the real data is as good as is promised."""

import io

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("figure", "floor"),
    [
        ("cannabis_decade_auc", 0.885),
        ("cannabis_decade_sens_spec", 160),
        ("decade_auc15", 0.809),
        ("decade_sens_spec", 144),
        ("year_auc15", 0.818),
    ],
)
def test_at_least(default_stored_model, figure, floor):
    assert default_stored_model.card.overall[figure] >= floor


@pytest.mark.parametrize(
    ("figure", "ceiling"),
    [
        ("cannabis_decade_log_loss", 0.397),
        ("decade_log_loss", 0.381),
        ("year_log_loss", 0.322),
        ("decade_calibration_error", 0.020),
        ("ranked_probability_score", 0.58),
    ],
)
def test_at_most(default_stored_model, figure, ceiling):
    assert default_stored_model.card.overall[figure] <= ceiling


def test_the_reference_system_is_beaten_on_its_own_split(default_stored_model):
    assert default_stored_model.card.reference_split["accuracy"] >= 0.815
    assert default_stored_model.card.reference_split["auc"] >= 0.885


def test_the_served_model_is_small(default_stored_model):
    content = (default_stored_model.path / "network.npz").read_bytes()
    assert len(content) <= 15_000
    with np.load(io.BytesIO(content)) as arrays:
        assert sum(arrays[name].nbytes for name in arrays) <= 50_000


def test_nothing_stored_holds_a_respondent(default_stored_model, records_in):
    assert not any(records_in(path.read_bytes()) for path in default_stored_model.path.rglob("*") if path.is_file())


def test_reliable_drugs_are_predicted(default_stored_model):
    reliable = {drug for drug, windows in default_stored_model.card.drugs.items() if windows["decade"].reliable}
    assert set(default_stored_model.card.drugs) - reliable == {"alcohol", "caffeine", "chocolate"}
