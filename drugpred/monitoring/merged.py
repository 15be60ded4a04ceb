"""What all workers of one server have counted since it started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import REGISTRY
from prometheus_client.multiprocess import MultiProcessCollector

from drugpred.monitoring import drift

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client import Metric

    from drugpred.model_store import Bins, Card
    from drugpred.monitoring.drift import Drift

__all__ = ["live_drift"]

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


def live_drift(card: Card) -> Drift:
    """Return the drift of all profiles answered, perhaps but for those of the last second.

    It takes some milliseconds: call it in a thread.
    """
    inputs, scores = _totals({"drugpred_input": ("feature", "bin"), "drugpred_score": ("drug", "bin")})
    return drift.measure(card, _by_bin(inputs, card.input_bins), _by_bin(scores, card.probability_bins))


def _by_bin(totals: Mapping[tuple[str, ...], float], bins: Mapping[str, Bins]) -> dict[str, list[float]]:
    return {name: [totals.get((name, label), 0.0) for label in each.labels] for name, each in bins.items()}


def _totals(labels: Mapping[str, tuple[str, ...]]) -> list[dict[tuple[str, ...], float]]:
    """Return the values of counters, given with the names of their labels, by the labels."""
    samples = {metric.name: metric.samples for metric in _collected()}
    return [
        {
            tuple(sample.labels[of] for of in names): sample.value
            for sample in samples.get(counter, ())
            if sample.name == f"{counter}_total"
        }
        for counter, names in labels.items()
    ]


def _collected() -> Iterable[Metric]:
    folder = os.environ.get(_FOLDER)
    if not folder:  # there is but this process
        return REGISTRY.collect()
    merged: Iterable[Metric] = MultiProcessCollector.merge(  # type: ignore[no-untyped-call]
        [str(path) for path in Path(folder).glob("counter_*.db")]
    )
    return merged
