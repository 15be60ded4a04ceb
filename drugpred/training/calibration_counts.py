"""Reads the calibration counters of a server, or of a Prometheus: outcomes and probabilities by drug and bin.

They hold nothing about a person, and outcomes of all windows together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import requests
from prometheus_client.parser import text_string_to_metric_families

from drugpred.codebook import DRUGS
from drugpred.errors import DownloadError
from drugpred.monitoring.outcome_metrics import BINS, OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

_OUTCOMES = "drugpred_calibration_outcomes_total"
_PROBABILITY = "drugpred_calibration_probability_total"
_MODEL = "drugpred_model_info"

_TIMEOUT = 60.0  # seconds


class CalibrationCounts(NamedTuple):
    """Reported outcomes of the predictions of one model."""

    model: str
    """Its tag."""
    outcomes: NDArray[np.float64]
    """Number of outcomes by drug, bin of the probability, and whether the drug was used: shape (18, 10, 2)."""
    probability: NDArray[np.float64]
    """Sum of their probabilities, shape (18, 10)."""


class _Sample(NamedTuple):
    labels: Mapping[str, str]
    value: float


def from_text(text: str) -> CalibrationCounts:
    """Return the counts in a server's /metrics.

    Raises
    ------
    DownloadError
        It is not the text of /metrics, or not of one model.
    """
    found: dict[str, list[_Sample]] = {_OUTCOMES: [], _PROBABILITY: [], _MODEL: []}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in found:
                    found[sample.name].append(_Sample(sample.labels, sample.value))
    except (ValueError, KeyError, IndexError):
        raise DownloadError("expected the text of a server's /metrics") from None
    return _counts(found[_OUTCOMES], found[_PROBABILITY], found[_MODEL])


def from_server(url: str) -> CalibrationCounts:
    """Return the counts of a server since its start.

    Parameters
    ----------
    url : str
        Of its /metrics.

    Raises
    ------
    DownloadError
        It does not answer, or as for `from_text`.
    """
    return from_text(_get(url).text)


def from_prometheus(url: str, days: int) -> CalibrationCounts:
    """Return the counts of all servers that a Prometheus has scraped.

    Parameters
    ----------
    url : str
        Of the Prometheus.
    days : int
        How many days to look back.

    Raises
    ------
    DownloadError
        It does not answer as a Prometheus, or has no such counters, or several models were served.
    """
    # One query, so that all counts are of one moment; the labels of a sample say which it is.
    expressions = (
        f"sum by (drug, bin, outcome) (increase({_OUTCOMES}[{days}d]))",
        f"sum by (drug, bin) (increase({_PROBABILITY}[{days}d]))",
        f"count by (model) (last_over_time({_MODEL}[{days}d]))",
    )
    answer = _get(f"{url.rstrip('/')}/api/v1/query", query=" or ".join(expressions))
    try:
        samples = [_Sample(each["metric"], float(each["value"][1])) for each in answer.json()["data"]["result"]]
    except (ValueError, KeyError, IndexError, TypeError):
        raise DownloadError("expected the answer of a Prometheus to a query") from None
    counts = [of for of in samples if "model" not in of.labels]
    return _counts(
        [of for of in counts if "outcome" in of.labels],
        [of for of in counts if "outcome" not in of.labels],
        [of for of in samples if "model" in of.labels],
    )


def _get(url: str, **parameters: str) -> requests.Response:
    try:
        answer = requests.get(url, params=parameters, timeout=_TIMEOUT)
    except requests.RequestException as error:
        raise DownloadError(f"the counters could not be read: {type(error).__name__}") from error
    if not answer.ok:
        raise DownloadError(f"the counters could not be read: expected status 200, not {answer.status_code}")
    return answer


def _counts(outcomes: Iterable[_Sample], probability: Iterable[_Sample], info: Iterable[_Sample]) -> CalibrationCounts:
    try:
        models = sorted({of.labels["model"] for of in info})
        known = _sums(outcomes, drug=DRUGS, bin=BINS, outcome=OUTCOMES)
        predicted = _sums(probability, drug=DRUGS, bin=BINS)
    except (KeyError, ValueError):
        raise DownloadError("expected the calibration counters of this version") from None
    if known is None or predicted is None or not models:
        raise DownloadError("expected the calibration counters of a server; there are none")
    if len(models) > 1:
        raise DownloadError(f"expected outcomes of one model, not of {', '.join(models)} together: look back less far")
    return CalibrationCounts(models[0], known, predicted)


def _sums(samples: Iterable[_Sample], **names: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Return the sums of samples by their labels, each with all of its values; None if there is no sample."""
    sums, empty = np.zeros([len(values) for values in names.values()]), True
    for labels, value in samples:
        if not (math.isfinite(value) and value >= 0):
            raise ValueError
        sums[tuple(values.index(labels[name]) for name, values in names.items())] += value
        empty = False
    return None if empty else sums
