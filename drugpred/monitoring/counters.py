"""Counters of all workers: increased many at a time, and read as sums."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from prometheus_client import Counter, Metric


def increase(series: Sequence[Counter], by: NDArray[np.int64] | NDArray[np.float64]) -> None:
    """Increase each series by an amount."""
    # Each call costs microseconds, and most amounts are 0 when few profiles come.
    for each, amount in zip(series, by.tolist(), strict=True):
        if amount:
            each.inc(amount)


def totals(labels: Mapping[str, tuple[str, ...]]) -> list[dict[tuple[str, ...], float]]:
    """Return the values of counters over all workers of this server, added up by some of their labels.

    Parameters
    ----------
    labels : mapping of str to tuple of str
        Names of labels by name of a counter, without `_total`.
    """
    samples = {metric.name: metric.samples for metric in _collected()}
    found = []
    for counter, names in labels.items():
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for sample in samples.get(counter, ()):
            if sample.name == f"{counter}_total":
                sums[tuple(sample.labels[of] for of in names)] += sample.value
        found.append(dict(sums))
    return found


def _collected() -> Iterable[Metric]:
    from prometheus_client import REGISTRY  # a command that measures files does not need it
    from prometheus_client.multiprocess import MultiProcessCollector

    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:  # a single process
        return REGISTRY.collect()
    merged: Iterable[Metric] = MultiProcessCollector.merge(  # type: ignore[no-untyped-call]
        [str(path) for path in Path(folder).glob("counter_*.db")]
    )
    return merged
