"""Counts profiles and predictions: stored in a microsecond, added up together, and in the metrics once a second."""

from __future__ import annotations

import logging
import threading
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred import codebook
from drugpred.monitoring.binning import Binning
from drugpred.monitoring.challenger import ServedWindow, within
from drugpred.monitoring.counters import Sums
from drugpred.monitoring.failure_log import FailureLog
from drugpred.monitoring.metrics import INPUTS, PREDICTIONS, PROBABILITY, PROFILES, SCORES, SUPPORT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from drugpred.model_store import Card
    from drugpred.monitoring.challenger import Challenger, Within
    from drugpred.selection import Selection
    from drugpred.uncertainty import Uncertainty

    # A named tuple would double the time of storing an item.
    _Noted = tuple[NDArray[np.float64], Selection, Within, Within | None]

logger = logging.getLogger(__name__)

_SECONDS: Final = 1.0  # the longest time until the metrics have stored items: a killed process loses no more
_SETTLED_SECONDS: Final = 60.0  # how long it must work before the log reports that it does

_ENOUGH: Final = 256
"""Profiles that the caller adds up at once, in .3 ms; their arrays fit into the cache. A thread that adds up takes the
interpreter's lock at each step: with it, POST /predict at 32 clients takes 48 us of a worker in place of 44."""


class PredictionCounter:
    """Counter of predictions: stores them, adds many up, and increases the metrics in a thread from `start` to `stop`.

    Several threads may use it.

    Parameters
    ----------
    card : Card
        Card of the model, with its bins and thresholds.
    uncertainty : Uncertainty
        Of the model, with the support of its respondents.
    challenger : Challenger, optional
    """

    def __init__(self, card: Card, uncertainty: Uncertainty, challenger: Challenger | None = None) -> None:
        self._uncertainty = uncertainty
        self._challenger = challenger
        self._input_bins = Binning(card.input_bins)
        self._score_bins = Binning(card.probability_bins)
        self._thresholds = card.thresholds
        # Looked up once; and series must start at 0 for Prometheus to see their first increase.
        self._profiles = Sums([PROFILES])
        self._inputs = Sums([INPUTS.labels(*of) for of in self._input_bins.series])
        self._support = Sums([SUPPORT.labels(level) for level in codebook.SUPPORT_LEVELS])
        self._scores = Sums([SCORES.labels(*of) for of in self._score_bins.series])
        self._predictions, self._probability = (
            {
                (window, label): Sums([counter.labels(drug, window, label) for drug in codebook.DRUGS])
                for window in codebook.WINDOWS
                for label in codebook.RISK_LABELS
            }
            for counter in (PREDICTIONS, PROBABILITY)
        )
        by_label = (*self._predictions.values(), *self._probability.values())
        self._sums = [self._profiles, self._inputs, self._support, self._scores, *by_label]
        if challenger:
            self._sums += challenger.sums
        self._thread: threading.Thread | None = None
        self._failures = FailureLog(logger, "profiles are counted again", _SETTLED_SECONDS)
        self._counting = threading.Lock()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._noted: list[_Noted] = []
        self._waiting = 0

    def add(
        self,
        rows: NDArray[np.float64],
        probabilities: NDArray[np.float64],
        selection: Selection,
        challenger: NDArray[np.float64] | None = None,
    ) -> None:
        """Store profiles that were answered; their rows must not change afterwards.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
        probabilities : ndarray of shape (n, 18, 6)
        selection : Selection
            Requested drugs and window.
        challenger : ndarray of shape (n, 18, 6), optional
            The challenger's probabilities, if they are known.
        """
        window = selection.window_index
        other = None if challenger is None else within(challenger, window)
        with self._lock:
            self._noted.append((rows, selection, within(probabilities, window), other))
            self._waiting += len(rows)
            waiting = self._waiting
        if waiting >= _ENOUGH:
            self._try(self._count_stored)

    def add_each(
        self,
        rows: NDArray[np.float64],
        probabilities: NDArray[np.float64],
        selections: Sequence[Selection],
        challenger: NDArray[np.float64] | None = None,
    ) -> None:
        """Store profiles with n selections, otherwise like `add`."""
        start = 0
        for selection, alike in groupby(selections):
            stop = start + len(list(alike))
            known = None if challenger is None else challenger[start:stop]
            self.add(rows[start:stop], probabilities[start:stop], selection, known)
            start = stop

    def start(self) -> None:
        """Start the thread."""
        self._ending.clear()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Count all that is stored, and end the thread."""
        if self._thread:
            self._ending.set()
            self._thread.join()
            self._thread = None
        self._try(self.flush)

    def _run(self) -> None:
        while not self._ending.wait(_SECONDS):
            self._try(self.flush)

    def _try(self, count: Callable[[], None]) -> None:
        try:
            count()
        except Exception:  # noqa: BLE001 - answering without counting is better than not answering
            self._failures.failed("profiles were not counted", traceback=True)
        else:
            self._failures.worked()

    def flush(self) -> None:
        """Count all that is stored, and increase the metrics."""
        self._count_stored()
        with self._counting:
            taken = [(sums, sums.take()) for sums in self._sums]
        for sums, amounts in taken:
            sums.increase(amounts)

    def _count_stored(self) -> None:
        with self._counting:
            with self._lock:
                noted, self._noted, self._waiting = self._noted, [], 0
            if noted:
                self._count(noted)

    def _count(self, noted: Sequence[_Noted]) -> None:
        rows, selections, served, known = zip(*noted, strict=True)
        people = np.concatenate(rows)
        self._profiles.add(np.array([len(people)]))
        self._inputs.add(self._input_bins.count(people.T))
        levels = self._uncertainty.support(people).level
        self._support.add(np.bincount(levels, minlength=len(codebook.SUPPORT_LEVELS)))
        requested, decade = zip(*served, strict=True)
        self._scores.add(self._score_bins.count(np.concatenate(decade).T))
        by_window = []
        for index in {selection.window_index for selection in selections}:
            parts = [i for i, selection in enumerate(selections) if selection.window_index == index]
            p = np.concatenate([requested[i] for i in parts]).T
            masks = np.array([selections[i].mask for i in parts]).T
            chosen = np.repeat(masks, [len(rows[i]) for i in parts], axis=1)
            by_window.append(ServedWindow(index, parts, p, chosen))
            high = p >= self._thresholds[:, index, None]
            window = codebook.WINDOWS[index]
            for label, predicted in zip(codebook.RISK_LABELS, (~high & chosen, high & chosen), strict=True):
                self._predictions[window, label].add(np.count_nonzero(predicted, axis=1))
                self._probability[window, label].add(np.einsum("ij,ij->i", p, predicted))
        if self._challenger:
            self._challenger.count(rows, known, by_window)
