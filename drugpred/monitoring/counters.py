"""Counters of all workers: increased many at a time, and read as sums."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from prometheus_client import Counter, Metric


class Sums:
    """Amounts by which series will be increased, because each increase costs microseconds.

    Parameters
    ----------
    series : sequence of Counter
    """

    def __init__(self, series: Sequence[Counter]) -> None:
        self._series = series
        self._amounts = np.zeros(len(series))

    def add(self, amounts: NDArray[np.int64] | NDArray[np.float64]) -> None:
        """Add an amount for each series."""
        self._amounts += amounts

    def take(self) -> NDArray[np.float64]:
        """Return the amounts, and start again from 0."""
        amounts, self._amounts = self._amounts, np.zeros(len(self._series))
        return amounts

    def increase(self, amounts: NDArray[np.float64]) -> None:
        """Increase the series by amounts that were taken."""
        for each, amount in zip(self._series, amounts.tolist(), strict=True):
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
