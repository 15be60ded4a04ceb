"""Counts profiles and predictions: stored in a microsecond, and counted together once a second."""

from __future__ import annotations

import logging
import threading
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred import codebook
from drugpred.monitoring.binning import Binning
from drugpred.monitoring.counters import increase
from drugpred.monitoring.failure_log import FailureLog
from drugpred.monitoring.metrics import INPUTS, PREDICTIONS, PROBABILITY, PROFILES, SCORES, SUPPORT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drugpred.model_store import Card
    from drugpred.monitoring.challenger import Challenger
    from drugpred.selection import Selection
    from drugpred.uncertainty import Uncertainty

    # A named tuple would double the time of storing an item.
    _Noted = tuple[NDArray[np.float64], NDArray[np.float64], Selection, NDArray[np.float64] | None]

logger = logging.getLogger(__name__)

_SECONDS: Final = 1.0  # the longest time until stored items are counted: a killed process loses no more
_SETTLED_SECONDS: Final = 60.0  # how long it must work before the log reports that it does

_EARLY: Final = 1024
"""Profiles that are counted at once without waiting; each is a kilobyte, and all should fit in the cache."""

_MAX: Final = 64 * _EARLY  # beyond it the caller counts them, because the thread does not keep up


class PredictionCounter:
    """Counter of predictions: stores them, and counts in a thread between `start` and `stop`.

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
        self._thresholds = dict(zip(codebook.WINDOWS, card.thresholds.T, strict=True))
        # Looked up once; and series must start at 0 for Prometheus to see their first increase.
        self._inputs = [INPUTS.labels(*of) for of in self._input_bins.series]
        self._support = [SUPPORT.labels(level) for level in codebook.SUPPORT_LEVELS]
        self._scores = [SCORES.labels(*of) for of in self._score_bins.series]
        self._predictions, self._probability = (
            {
                (window, label): [counter.labels(drug, window, label) for drug in codebook.DRUGS]
                for window in codebook.WINDOWS
                for label in codebook.RISK_LABELS
            }
            for counter in (PREDICTIONS, PROBABILITY)
        )
        self._thread: threading.Thread | None = None
        self._failures = FailureLog(logger, "profiles are counted again", _SETTLED_SECONDS)
        self._counting = threading.Lock()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._noted: list[_Noted] = []
        self._waiting = 0

    def add(
        self,
        rows: NDArray[np.float64],
        probabilities: NDArray[np.float64],
        selection: Selection,
        challenger: NDArray[np.float64] | None = None,
    ) -> None:
        """Store profiles that were answered; the arrays must not change afterwards.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
        probabilities : ndarray of shape (n, 18, 6)
        selection : Selection
            Requested drugs and window.
        challenger : ndarray of shape (n, 18, 6), optional
            The challenger's probabilities, if they are known.
        """
        with self._lock:
            self._noted.append((rows, probabilities, selection, challenger))
            self._waiting += len(rows)
            waiting = self._waiting
        if waiting >= _EARLY:
            if waiting >= _MAX:
                self._try_to_flush()
            else:
                self._wake.set()

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
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Count all that is stored, and end the thread."""
        if self._thread:
            self._ending = True
            self._wake.set()
            self._thread.join()
            self._thread = None
        self._try_to_flush()

    def _run(self) -> None:
        while not self._ending:
            self._wake.wait(_SECONDS)
            self._wake.clear()
            self._try_to_flush()

    def _try_to_flush(self) -> None:
        try:
            self.flush()
        except Exception:  # noqa: BLE001 - answering without counting is better than not answering
            self._failures.failed("profiles were not counted", traceback=True)
        else:
            self._failures.worked()

    def flush(self) -> None:
        """Count all that is stored."""
        with self._counting:
            with self._lock:
                noted, self._noted, self._waiting = self._noted, [], 0
            if noted:
                self._count(noted)

    def _count(self, noted: Sequence[_Noted]) -> None:
        rows, probabilities, selections, known = zip(*noted, strict=True)
        sizes = [len(each) for each in rows]
        probability = np.concatenate(probabilities)
        PROFILES.inc(len(probability))
        people = np.concatenate(rows)
        increase(self._inputs, self._input_bins.count(people.T))
        levels = self._uncertainty.support(people).level
        increase(self._support, np.bincount(levels, minlength=len(self._support)))
        increase(self._scores, self._score_bins.count(probability[:, :, codebook.DECADE].T))
        windows = np.repeat([selection.window_index for selection in selections], sizes)
        selected = np.repeat([selection.mask for selection in selections], sizes, axis=0)
        for window, index in {(selection.window, selection.window_index) for selection in selections}:
            within = windows == index
            p = probability[within, :, index]
            high, chosen = p >= self._thresholds[window], selected[within]
            for label, predicted in zip(codebook.RISK_LABELS, (~high & chosen, high & chosen), strict=True):
                increase(self._predictions[window, label], np.count_nonzero(predicted, axis=0))
                increase(self._probability[window, label], np.einsum("ij,ij->j", p, predicted))
        if self._challenger:
            self._challenger.count(rows, known, probability, windows, selected)
