"""`drugpred recalibrate`: from counters to the version that is stored."""

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.special import expit, logit

from drugpred import model_store
from drugpred.cli import main
from drugpred.codebook import DRUGS
from drugpred.data.simulator import Cohort
from tests.harness.outcomes import draw_counts, exposed
from tests.harness.prometheus import exposition
from tests.harness.store import using


@pytest.fixture
def models(copied_store):
    """The store, with the command's own BENTOML_HOME."""
    with using(copied_store) as store:
        yield store


@pytest.fixture
def counts(stored_model):
    """Return the counts of 3000 people, of whom more use cannabis than predicted if `shift` is above 0."""

    def draw(shift):
        rng = np.random.default_rng(3)
        predicted = stored_model.predictor.predict_proba(Cohort.load().rows(3000, rng))[:, :, 1]
        truth = predicted.copy()
        at = DRUGS.index("cannabis")
        truth[:, at] = expit(logit(truth[:, at]) + shift)
        truth[:, DRUGS.index("lsd")] = 0.0
        return draw_counts(predicted, truth, rng, stored_model.tag)

    return draw


def run(*arguments, **options):
    return CliRunner().invoke(main, ["recalibrate", *map(str, arguments)], **options)


def test_a_version_is_stored_and_every_drug_explained(models, counts, stored_model):
    with exposition(lambda: exposed(counts(1.0))) as server:
        result = run("--metrics", f"http://{server.address}/metrics")
    assert result.exit_code == 0, result.output
    header, *rows = result.output.splitlines()
    assert header.split() == ["drug", "outcomes", "predicted", "observed", "shift", "scale", "result"]
    by_drug = {row.split()[0]: row for row in rows}
    new = model_store.load()
    assert set(DRUGS) < set(by_drug)
    line = new.card.recalibration.drugs["cannabis"]
    for value, error in ((f"{line.shift:+.2f}", line.shift_error), (f"{line.scale:.2f}", line.scale_error)):
        assert f"  {value} ± {error:.2f}  " in by_drug["cannabis"]
    assert by_drug["cannabis"].split()[1] == "3000"
    assert by_drug["cannabis"].endswith("  recalibrated")
    assert by_drug["lsd"].split()[4:] == ["-", "-", "too", "few", "outcomes"]
    assert by_drug["cocaine"].endswith("  calibrated")
    assert list(new.card.recalibration.drugs) == ["cannabis"]
    assert (new.card.recalibration.model, new.card.recalibration.days) == (stored_model.tag, None)
    assert f"stored {new.tag}, recalibrated from {stored_model.tag}, in {new.path}" in rows
    assert f"DRUGPRED_MODEL={stored_model.tag} DRUGPRED_CHALLENGER={new.tag} bentoml serve" in rows[-1]


def test_without_a_change_nothing_is_stored_and_the_exit_code_is_3(models, counts):
    result = run("--metrics", "-", input=exposed(counts(0.0)))
    assert result.exit_code == 3
    assert result.output.splitlines()[-1].startswith("Error: not stored: for no drug")
    ends = [line.endswith(("  calibrated", "  too few outcomes")) for line in result.output.splitlines()]
    assert ends == [False] + 18 * [True] + [False]
    assert len(model_store.list_models()) == 1


def test_prometheus_looks_back_a_week_by_default(models, counts, monkeypatch):
    asked = []

    def read(url, days):
        asked.append((url, days))
        return counts(1.0)

    monkeypatch.setattr("drugpred.training.calibration_counts.from_prometheus", read)
    for more in ((), ("--days", 30)):
        assert run("--prometheus", "http://p", *more).exit_code == 0
    assert asked == [("http://p", 7), ("http://p", 30)]
    assert model_store.load().card.recalibration.days == 30


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "expected either --metrics or --prometheus"),
        (("--metrics", "-", "--prometheus", "http://p"), "expected either --metrics or --prometheus"),
        (("--metrics", "-", "--days", 3), "expected --days with --prometheus only"),
        (("--prometheus", "http://p", "--days", 0), "Invalid value for '--days'"),
        (("--metrics", "http://127.0.0.1:1/metrics"), "the counters could not be read: ConnectionError"),
        (("--prometheus", "http://127.0.0.1:1"), "the counters could not be read: ConnectionError"),
        (("--metrics", "-", "--model", "drug_consumption:absent"), "no model drug_consumption:absent"),
    ],
)
def test_a_refusal_is_one_line_and_stores_nothing(models, counts, arguments, expected):
    result = run(*arguments, input=exposed(counts(1.0)))
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert expected in line
    assert result.output.endswith(f"{line}\n")
    assert len(model_store.list_models()) == 1


def test_counters_of_another_model_are_refused(models, counts, stored_model):
    names = ("pipeline.skops", "network.npz", "background.npy", "uncertainty.npz")
    files = [(stored_model.path / name).read_bytes() for name in names]
    other = model_store.write(*files, stored_model.card, {})
    result = run("--metrics", "-", "--model", other, input=exposed(counts(1.0)))
    assert result.exit_code == 2
    assert f"expected outcomes of {other}; the counters are of {stored_model.tag}" in result.output
    result = run("--metrics", "-", input=exposed(counts(1.0)._replace(model="drug_consumption:gone")))
    assert result.exit_code == 2
    assert "no model drug_consumption:gone in the BentoML model store" in result.output
    assert len(model_store.list_models()) == 2
