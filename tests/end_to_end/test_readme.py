"""The README's calls give the README's answers, and its figures are those of a default training run."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CALLS = re.findall(r"```\n\$ (curl .*?)\n```\n\n```json\n(.*?)\n```", README, re.DOTALL)

# Another processor rounds differently, and a hundred steps of an optimizer make that visible.
TOLERANCE = 0.003

IDS = {"prediction_id", "model", "model_version"}

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


def same(said: object, shown: object) -> bool:
    """Compare an answer with the README's, in which only ids and tags may differ."""
    if isinstance(shown, dict):
        assert isinstance(said, dict)
        assert list(said) == list(shown)
        return all(same(said[key], shown[key]) for key in shown if key not in IDS)
    if isinstance(shown, list):
        if shown[-1] == "...":
            said, shown = said[: len(shown) - 1], shown[:-1]
        return len(said) == len(shown) and all(map(same, said, shown))
    return said == (pytest.approx(shown, abs=TOLERANCE) if isinstance(shown, float) else shown)


@pytest.mark.slow
def test_calls_give_their_answers(serve, default_store):
    assert len(CALLS) == 5
    with serve(default_store) as server:
        for call, shown in CALLS:
            command = call.replace("localhost:3000", server.url.removeprefix("http://"))
            said = subprocess.run(["bash", "-c", f"{command} -sS"], capture_output=True, text=True, check=True).stdout
            assert same(json.loads(said), json.loads(shown.replace("...", '"..."'))), said


@pytest.mark.slow
def test_figures_are_measured(default_bundle):
    rows = dict(re.findall(r"^\| ([^|]*) \|(?: [.\d]+ \|){2} ([.\d]+) \|$", README, re.MULTILINE))
    for row, figure in ROWS.items():
        relative = TOLERANCE * max(1.0, default_bundle.card.overall[figure])
        assert float(rows.pop(row)) == pytest.approx(default_bundle.card.overall[figure], abs=relative)
    split = default_bundle.card.reference_split
    assert float(rows.pop("cannabis, the split of seed 42: accuracy at .5")) == pytest.approx(
        split["accuracy"], abs=0.01
    )
    assert float(rows.pop("cannabis, the split of seed 42: AUC")) == pytest.approx(split["auc"], abs=TOLERANCE)
    assert not rows
