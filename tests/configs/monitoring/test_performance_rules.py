"""The recording rules of performance give what scikit-learn does, of what two servers counted."""

import json
import subprocess
from collections import defaultdict

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, precision_score, recall_score

from drugpred.codebook import DRUGS, WINDOWS
from drugpred.monitoring import outcome_metrics
from drugpred.monitoring.feedback.prediction_id import PredictionIdSigner, new_key
from drugpred.monitoring.prediction_metrics import PredictionCounter
from drugpred.selection import select
from tests.harness.metrics import samples
from tests.harness.prometheus import MONITORING, program

pytestmark = pytest.mark.slow

ASKED = ("decade", "year")
RARE = ("crack", "year")
"""What nobody is of High Risk of, and nobody used."""
EVERYBODY = frozenset(DRUGS)
SERVERS = {"a": 0.25, "b": 0.75}
"""The share of each count."""
COUNTERS = (
    "predictions",
    "probability",
    "outcomes",
    "brier",
    "log_loss",
    "calibration_outcomes",
    "calibration_probability",
)
WITHIN = 1e-6


def counters():
    """What this process has counted of predictions and outcomes, by series; those that are 0, too."""
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples(*COUNTERS)}


@pytest.fixture(scope="module")
def survey(stored_model, real):
    """Predictions for the respondents, and outcomes drawn from the probabilities, reported with tokens.

    Returns
    -------
    counted : dict
        The counts.
    of : dict
        By drug and window, for each respondent: the probability, High Risk, the probability in the token, and
        whether the drug was used.
    """
    probabilities = stored_model.predictor.predict_proba(real.X)
    telemetry = PredictionCounter(stored_model.card, stored_model.uncertainty)
    tokens = PredictionIdSigner.of(new_key(), stored_model)
    rng = np.random.default_rng(1)
    of = {}
    outcome_metrics.prepare()
    before = counters()
    for window in ASKED:
        thresholds = {drug: stored_model.card.drugs[drug][window].threshold for drug in DRUGS}
        said = probabilities[:, :, WINDOWS.index(window)]
        users = rng.random(said.shape) < said
        if window == RARE[1]:
            rare = DRUGS.index(RARE[0])
            users[:, rare] = False
            chosen = said[:, rare] < thresholds[RARE[0]]
        else:
            chosen = np.full(len(said), fill_value=True)
        said, users = said[chosen], users[chosen]
        telemetry.add(real.X[chosen], probabilities[chosen], select(window, EVERYBODY))
        signed = tokens.sign(probabilities[chosen], [select(window, EVERYBODY)] * len(said))
        claims = [tokens.verify(token) for token in signed]
        for claim, used in zip(claims, users.tolist(), strict=True):
            outcome_metrics.record(claim, dict(zip(DRUGS, used, strict=True)), thresholds)
        for i, drug in enumerate(DRUGS):
            claimed = np.array([claim.probabilities[drug] for claim in claims])
            of[drug, window] = said[:, i], said[:, i] >= thresholds[drug], claimed, users[:, i]
    telemetry.flush()
    return {series: value - before.get(series, 0) for series, value in counters().items()}, of


def expected(p, high):
    """What scikit-learn says where each person is there twice: as a user of weight p and as none of weight 1 - p."""
    truth, predicted = np.repeat([True, False], len(p)), np.tile(high, 2)
    weights = np.concatenate([p, 1 - p])
    return {
        "precision": precision_score(truth, predicted, sample_weight=weights) if high.any() else None,
        "sensitivity": recall_score(truth, predicted, sample_weight=weights),
        "specificity": recall_score(truth, predicted, sample_weight=weights, pos_label=False),
        "accuracy": accuracy_score(truth, predicted, sample_weight=weights),
    }


@pytest.fixture(scope="module")
def recorded(survey, tmp_path_factory):
    """Return a function that checks the values of expressions a week later; None means no value."""
    counted, _ = survey
    folder = tmp_path_factory.mktemp("promtool")
    series = [
        {"series": f"{name}{{{_labels(labels, instance=server)}}}", "values": f"0+{share * value!r}x200"}
        for (name, *labels), value in counted.items()
        for server, share in SERVERS.items()
    ]

    def check(values):
        tests = [
            {"expr": expression, "eval_time": "8d", "exp_samples": []}
            if value is None
            else {
                "expr": f"count(abs({expression} - {float(value)!r}) < {WITHIN})",
                "eval_time": "8d",
                "exp_samples": [{"value": 1}],
            }
            for expression, value in values.items()
        ]
        file = folder / "test.yml"
        content = {
            "rule_files": [str(MONITORING / "rules" / "performance.yml")],
            "evaluation_interval": "8d",
            "tests": [{"interval": "1h", "input_series": series, "promql_expr_test": tests}],
        }
        file.write_text(json.dumps(content), "utf-8")
        done = subprocess.run(
            [program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[:5000]

    return check


def _labels(pairs, **more):
    return ",".join(f'{name}="{value}"' for name, value in [*pairs, *more.items()])


def test_expected_performance_is_that_of_weighted_people(survey, recorded):
    values = {
        f'drug_window:drugpred_expected:ratio1d{{drug="{drug}",window="{window}",measure="{measure}"}}': value
        for (drug, window), (p, high, _, _) in survey[1].items()
        for measure, value in expected(p, high).items()
    }
    assert None in values.values()
    recorded(values)


def test_observed_performance_is_that_of_reported_outcomes(survey, recorded):
    values = {}
    for (drug, window), (_, high, p, used) in survey[1].items():
        of = f'drug="{drug}",window="{window}"'
        for measure, positive in (("sensitivity", True), ("specificity", False)):
            share = recall_score(used, high, pos_label=positive) if (used == positive).any() else None
            values[f'drug_window:drugpred_observed:ratio7d{{{of},measure="{measure}"}}'] = share
        values[f"drug_window:drugpred_brier:mean7d{{{of}}}"] = brier_score_loss(used, p)
        values[f"drug_window:drugpred_log_loss:mean7d{{{of}}}"] = log_loss(used, p, labels=[False, True])
    assert None in values.values()
    recorded(values)


def test_calibration_is_that_of_scikit_learn(survey, recorded):
    values = {}
    pooled = defaultdict(list)
    for (drug, _), (_, _, p, used) in survey[1].items():
        pooled[drug].append((p, used))
    for drug, parts in pooled.items():
        p, used = map(np.concatenate, zip(*parts, strict=True))
        n, _ = np.histogram(p, np.linspace(0, 1, 11))
        observed, predicted = calibration_curve(used, p, n_bins=10)
        bins = [label for label, people in zip(outcome_metrics.BINS, n, strict=True) if people]
        for at, *pair in zip(bins, predicted, observed, strict=True):
            for rule, value in zip(("predicted:mean7d", "observed:ratio7d"), pair, strict=True):
                values[f'drug_bin:drugpred_calibration_{rule}{{drug="{drug}",bin="{at}"}}'] = value
        error = np.average(np.abs(observed - predicted), weights=n[n > 0])
        values[f'drug:drugpred_calibration_error:mean7d{{drug="{drug}"}}'] = error
    recorded(values)


def test_expected_performance_agrees_with_the_outcomes(survey):
    """While people are users as their probabilities say, as these are."""
    errors = []
    for of, (p, high, _, used) in survey[1].items():
        for positive, measure in ((True, "sensitivity"), (False, "specificity")):
            if of != RARE and (used == positive).sum() >= 50:
                share = expected(p, high)[measure]
                weight = (p if positive else 1 - p).sum()
                error = np.sqrt((p * (1 - p) * ((high == positive) - share) ** 2).sum()) / weight
                errors.append((recall_score(used, high, pos_label=positive) - share) / error)
    assert len(errors) > 60
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1, abs=0.25)
