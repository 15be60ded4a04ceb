"""What is counted, by the names that Prometheus sees, and what of the model's card its rules compare it with.

Workers and replicas add up: all counts are counters. Labels come from the codebook and the card alone.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge

from drugpred import __version__
from drugpred.monitoring.drift import quantile

if TYPE_CHECKING:
    from drugpred.model_store import StoredModel

__all__ = [
    "DENIED",
    "INPUTS",
    "LABELS",
    "LIMITED",
    "PREDICTIONS",
    "PROBABILITY",
    "PROFILES",
    "REFUSED",
    "SCORES",
    "publish",
]

LABELS: Final = ("Low Risk", "High Risk")
"""As in answers; the place of a label is its prediction."""

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
