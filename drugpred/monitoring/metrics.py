"""All metrics of the service, with the facts of the model card that the rules compare them with.

All counts are counters, so workers and replicas add up. Labels come from the codebook and the card alone.
"""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

from drugpred import __version__
from drugpred.monitoring.drift import quantile

if TYPE_CHECKING:
    from drugpred.model_store import StoredModel


PROFILES: Final = Counter("drugpred_profiles", "Profiles answered.")
INPUTS: Final = Counter("drugpred_input", "Profiles answered, by input and bin.", ["feature", "bin"])
SCORES: Final = Counter(
    "drugpred_score", "Profiles answered, by drug and bin of the probability of use within a decade.", ["drug", "bin"]
)
PREDICTIONS: Final = Counter(
    "drugpred_predictions", "Predictions, by requested drug and window and by label.", ["drug", "window", "label"]
)
PROBABILITY: Final = Counter(
    "drugpred_probability", "Sum of the predictions' probabilities.", ["drug", "window", "label"]
)
SUPPORT: Final = Counter(
    "drugpred_support", "Profiles answered, by how many respondents are like them, asked for or not.", ["level"]
)
REFUSED: Final = Counter("drugpred_refused", "Malformed requests, by field and reason.", ["field", "reason"])
DENIED: Final = Counter("drugpred_denied", "Calls rejected for their API key.", ["reason"])
LIMITED: Final = Counter("drugpred_limited", "Calls rejected by a limit: rate, size, time or load.", ["limit"])

RATES_UNSHARED: Final = Counter(
    "drugpred_rates_unshared", "Requests that a process rate-limited alone, because Redis did not answer."
)
BATCH_PROFILES: Final = Histogram(
    "drugpred_batch_profiles",
    "Profiles in each batch.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
_DURATION_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

GRPC_REQUESTS: Final = Counter("drugpred_grpc_requests", "gRPC calls, by method and status code.", ["method", "code"])
GRPC_DURATION: Final = Histogram(
    "drugpred_grpc_request_duration_seconds", "Duration of gRPC calls.", ["method"], buckets=_DURATION_BUCKETS
)

FEEDBACK: Final = Counter("drugpred_feedback", "Feedback, by result.", ["result"])
OUTCOMES: Final = Counter(
    "drugpred_outcomes", "Reported outcomes, by predicted label.", ["drug", "window", "label", "outcome"]
)
BRIER: Final = Counter(
    "drugpred_brier", "Sum of the squared errors of the probabilities, over outcomes.", ["drug", "window"]
)
LOG_LOSS: Final = Counter(
    "drugpred_log_loss", "Sum of minus the logarithms of the probabilities of the outcomes.", ["drug", "window"]
)
CALIBRATION_OUTCOMES: Final = Counter(
    "drugpred_calibration_outcomes", "Reported outcomes, by bin of the probability.", ["drug", "bin", "outcome"]
)
CALIBRATION_PROBABILITY: Final = Counter(
    "drugpred_calibration_probability", "Sum of the probabilities of reported outcomes, by bin.", ["drug", "bin"]
)

CHALLENGER_SCORES: Final = Counter(
    "drugpred_challenger_score",
    "Profiles answered, by drug and bin of the challenger's probability of use within a decade.",
    ["drug", "bin"],
)
CHALLENGER_PREDICTIONS: Final = Counter(
    "drugpred_challenger_predictions",
    "As drugpred_predictions, by the challenger's label.",
    ["drug", "window", "label"],
)
CHALLENGER_PROBABILITY: Final = Counter(
    "drugpred_challenger_probability", "Sum of the challenger's probabilities.", ["drug", "window", "label"]
)
CHALLENGER_ABSOLUTE_DIFFERENCE: Final = Counter(
    "drugpred_challenger_absolute_difference",
    "Sum of the absolute differences of the two models' probabilities.",
    ["drug", "window"],
)
CHALLENGER_SQUARED_DIFFERENCE: Final = Counter(
    "drugpred_challenger_squared_difference", "Sum of their squared differences.", ["drug", "window"]
)
CHALLENGER_FLIPS: Final = Counter(
    "drugpred_challenger_flips", "Predictions to which the challenger gives the other label.", ["drug", "window"]
)
CHALLENGER_OUTCOMES: Final = Counter(
    "drugpred_challenger_outcomes", "Reported outcomes of predictions by both models.", ["drug", "window"]
)
CHALLENGER_LOSS: Final = Counter(
    "drugpred_challenger_loss",
    "Sum of each model's losses over these outcomes; a loss is brier or log_loss, a model served or challenger.",
    ["drug", "window", "loss", "model"],
)
CHALLENGER_LOSS_SQUARES: Final = Counter(
    "drugpred_challenger_loss_squares", "Sum of the squared differences of the losses.", ["drug", "window", "loss"]
)
CHALLENGER_CALIBRATION_OUTCOMES: Final = Counter(
    "drugpred_challenger_calibration_outcomes",
    "As drugpred_calibration_outcomes, by bin of the challenger's probability.",
    ["drug", "bin", "outcome"],
)
CHALLENGER_CALIBRATION_PROBABILITY: Final = Counter(
    "drugpred_challenger_calibration_probability",
    "Sum of the challenger's probabilities of reported outcomes, by bin.",
    ["drug", "bin"],
)
# What decides between two models is labelled with both, so that nothing of another pair is added to it.
CHALLENGER_PEOPLE: Final = Counter(
    "drugpred_challenger_people", "People with feedback on both models.", ["served", "challenger"]
)
CHALLENGER_PERSON_LOSS: Final = Counter(
    "drugpred_challenger_person_loss",
    "Sum over people of each model's loss, the mean over a person's drugs.",
    ["served", "challenger", "loss", "model"],
)
CHALLENGER_PERSON_SQUARES: Final = Counter(
    "drugpred_challenger_person_squares",
    "Sum over people of the squared difference of these losses.",
    ["served", "challenger", "loss"],
)
CHALLENGER_FAILURES: Final = Counter(
    "drugpred_challenger_failures", "Workers that dropped the challenger, because it failed."
)


def _gauge(name: str, documentation: str, labels: tuple[str, ...] = ()) -> Gauge:
    # Workers have the same value, which must not be summed; a restarted one may serve a newer model.
    return Gauge(f"drugpred_{name}", documentation, labels, multiprocess_mode="mostrecent")


_RESPONDENTS: Final = _gauge("reference_respondents", "Respondents in the training data.")
_INPUT_SHARE: Final = _gauge("reference_ratio", "Share of the respondents in each bin of an input.", ("feature", "bin"))
_SCORE_SHARE: Final = _gauge(
    "score_reference_ratio",
    "Share of the respondents in each bin of the cross-validated probability of use within a decade.",
    ("drug", "bin"),
)
_INPUT_QUANTILE: Final = _gauge(
    "drift_quantile",
    "An input has drifted if its population stability index exceeds this times (1/profiles + 1/respondents).",
    ("feature",),
)
_SCORE_QUANTILE: Final = _gauge("score_drift_quantile", "As drift_quantile, for a drug's probability.", ("drug",))
_SUPPORT_SHARE: Final = _gauge(
    "support_reference_ratio", "Share of the respondents of each level of support.", ("level",)
)
_BASE_RATE: Final = _gauge("base_rate", "Share of users among the respondents.", ("drug", "window"))
_SENSITIVITY: Final = _gauge("reference_sensitivity", "Cross-validated sensitivity.", ("drug", "window"))
_SPECIFICITY: Final = _gauge("reference_specificity", "Cross-validated specificity.", ("drug", "window"))
_MODEL: Final = _gauge("model_info", "The served model.", ("model", "data_source"))
_CHALLENGER: Final = _gauge("challenger_info", "The challenger.", ("model", "data_source"))
_BUILD: Final = _gauge("build_info", "Versions of the serving software.", ("version", "bentoml", "python"))


def publish(model: StoredModel, challenger: StoredModel | None = None) -> None:
    """Set the metrics that describe the served model, and the one that names its challenger."""
    card = model.card
    if challenger:
        _CHALLENGER.labels(challenger.tag, challenger.card.data.source).set(1)
    _MODEL.labels(model.tag, card.data.source).set(1)
    _BUILD.labels(__version__, version("bentoml"), platform.python_version()).set(1)
    _RESPONDENTS.set(card.data.respondents)
    for shares, quantiles, bins in (
        (_INPUT_SHARE, _INPUT_QUANTILE, card.input_bins),
        (_SCORE_SHARE, _SCORE_QUANTILE, card.probability_bins),
    ):
        for name, each in bins.items():
            quantiles.labels(name).set(quantile(len(each.labels)))
            for label, share in zip(each.labels, each.shares, strict=True):
                shares.labels(name, label).set(share)
    for level, share in (card.uncertainty.support_shares if card.uncertainty else {}).items():
        _SUPPORT_SHARE.labels(level).set(share)
    for drug, windows in card.drugs.items():
        for window, figures in windows.items():
            for gauge, value in (
                (_BASE_RATE, figures.base_rate),
                (_SENSITIVITY, figures.sensitivity),
                (_SPECIFICITY, figures.specificity),
            ):
                if value is not None:
                    gauge.labels(drug, window).set(value)


def observe_call(method: str, code: str, seconds: float) -> None:
    """Count a gRPC call."""
    requests, duration = _call_series(method, code)
    requests.inc()
    duration.observe(seconds)


@cache
def _call_series(method: str, code: str) -> tuple[Counter, Histogram]:
    """Return the series of a method and code, cached."""
    return GRPC_REQUESTS.labels(method, code), GRPC_DURATION.labels(method)
