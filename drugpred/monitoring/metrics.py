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
_BUILD: Final = _gauge("build_info", "Versions of the serving software.", ("version", "bentoml", "python"))


def publish(model: StoredModel) -> None:
    """Set the metrics that describe the served model."""
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
    if card.uncertainty is not None:  # which a model that is served has
        for level, share in card.uncertainty.support_shares.items():
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
