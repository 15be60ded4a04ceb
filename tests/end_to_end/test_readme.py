"""The figures of the documentation are those of a default training run."""

import re
from pathlib import Path

import pytest

from tests.documentation import TOLERANCE

ROOT = Path(__file__).parents[2]
TRAINING = (ROOT / "drugpred" / "training" / "README.md").read_text(encoding="utf-8")
ROWS = {
    "cannabis: AUC": "cannabis_decade_auc",
    "cannabis: sensitivity + specificity": "cannabis_decade_sens_spec",
    "cannabis: log-loss": "cannabis_decade_log_loss",
    "18 drugs: log-loss": "decade_log_loss",
    "15 drugs: AUC": "decade_auc15",
    "18 drugs: sensitivity + specificity": "decade_sens_spec",
    "18 drugs: calibration error": "decade_calibration_error",
    "18 drugs, year: log-loss": "year_log_loss",
    "15 drugs, year: AUC": "year_auc15",
    "7 classes of last use: ranked probability score": "ranked_probability_score",
}


@pytest.mark.slow
def test_figures_are_measured(default_stored_model):
    rows = dict(re.findall(r"^\| ([^|]*) \|(?: [.\d]+ \|){2} ([.\d]+) \|$", TRAINING, re.MULTILINE))
    for row, figure in ROWS.items():
        relative = TOLERANCE * max(1.0, default_stored_model.card.overall[figure])
        assert float(rows.pop(row)) == pytest.approx(default_stored_model.card.overall[figure], abs=relative)
    split = default_stored_model.card.reference_split
    assert float(rows.pop("cannabis, the split of seed 42: accuracy at .5")) == pytest.approx(
        split["accuracy"], abs=0.01
    )
    assert float(rows.pop("cannabis, the split of seed 42: AUC")) == pytest.approx(split["auc"], abs=TOLERANCE)
    assert not rows
