"""What is counted, by the names that Prometheus sees, and what of the model's card its rules compare it with.

Workers and replicas add up: all counts are counters. Labels come from the codebook and the card alone.
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


PROFILES: Final = Counter("drugpred_profiles", "Profiles that were answered.")
INPUTS: Final = Counter("drugpred_input", "Profiles that were answered, by input and bin.", ["feature", "bin"])
SCORES: Final = Counter(
    "drugpred_score", "The same by bin of the probability of use within a decade, of all drugs.", ["drug", "bin"]
)
PREDICTIONS: Final = Counter(
    "drugpred_predictions", "Predictions of the drugs and the window asked for.", ["drug", "window", "label"]
)
PROBABILITY: Final = Counter("drugpred_probability", "Sum of their probabilities.", ["drug", "window", "label"])
REFUSED: Final = Counter("drugpred_refused", "Malformed requests, by what is wrong with them.", ["field", "reason"])
DENIED: Final = Counter("drugpred_denied", "Calls whose API key does not let them in.", ["reason"])
LIMITED: Final = Counter("drugpred_limited", "Calls that a limit ended: rate, size, time or load.", ["limit"])

RATES_UNSHARED: Final = Counter(
    "drugpred_rates_unshared", "Requests whose rate a process told by itself, because Redis did not answer."
)
BATCH_PROFILES: Final = Histogram(
    "drugpred_batch_profiles",
    "Profiles of requests that were answered together.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
_DURATION_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

GRPC_REQUESTS: Final = Counter("drugpred_grpc_requests", "gRPC calls that ended.", ["method", "code"])
GRPC_DURATION: Final = Histogram(
    "drugpred_grpc_request_duration_seconds", "How long gRPC calls took.", ["method"], buckets=_DURATION_BUCKETS
)

FEEDBACK: Final = Counter("drugpred_feedback", "Feedback by what became of it.", ["result"])
OUTCOMES: Final = Counter("drugpred_outcomes", "Outcomes, by what was said.", ["drug", "window", "label", "outcome"])
BRIER: Final = Counter(
    "drugpred_brier", "Sum over outcomes of the squared error of the probability.", ["drug", "window"]
)
LOG_LOSS: Final = Counter(
    "drugpred_log_loss", "Sum over outcomes of minus the logarithm of the probability given to it.", ["drug", "window"]
)
CALIBRATION_OUTCOMES: Final = Counter(
    "drugpred_calibration_outcomes", "Outcomes by bin of probability.", ["drug", "bin", "outcome"]
)
CALIBRATION_PROBABILITY: Final = Counter(
    "drugpred_calibration_probability", "Sum over outcomes of the probability, by its bin.", ["drug", "bin"]
)


def _gauge(name: str, documentation: str, labels: tuple[str, ...] = ()) -> Gauge:
    # Workers have the same value, which must not add up; one that was started again may serve a newer model.
    return Gauge(f"drugpred_{name}", documentation, labels, multiprocess_mode="mostrecent")


_RESPONDENTS: Final = _gauge("reference_respondents", "Respondents that the model was trained on.")
_INPUT_SHARE: Final = _gauge("reference_ratio", "Their share in each bin of an input.", ("feature", "bin"))
_SCORE_SHARE: Final = _gauge(
    "score_reference_ratio", "The same of the cross-validated probability of use within a decade.", ("drug", "bin")
)
_INPUT_QUANTILE: Final = _gauge(
    "drift_quantile", "An input's stability index is drift above this times (1/profiles + 1/respondents).", ("feature",)
)
_SCORE_QUANTILE: Final = _gauge("score_drift_quantile", "The same of a drug's probability.", ("drug",))
_BASE_RATE: Final = _gauge("base_rate", "Share of users among the respondents.", ("drug", "window"))
_SENSITIVITY: Final = _gauge("reference_sensitivity", "Cross-validated sensitivity.", ("drug", "window"))
_SPECIFICITY: Final = _gauge("reference_specificity", "Cross-validated specificity.", ("drug", "window"))
_MODEL: Final = _gauge("model_info", "The model served.", ("model", "data_source"))
_BUILD: Final = _gauge("build_info", "The program that serves it.", ("version", "bentoml", "python"))


def publish(model: StoredModel) -> None:
    """Show what is known of the model served."""
    card = model.card
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
    """Count a gRPC call that ended."""
    requests, duration = _call_series(method, code)
    requests.inc()
    duration.observe(seconds)


@cache
def _call_series(method: str, code: str) -> tuple[Counter, Histogram]:
    """Return the series of a method, looked up once."""
    return GRPC_REQUESTS.labels(method, code), GRPC_DURATION.labels(method)
