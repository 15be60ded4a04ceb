"""Counts of profiles and answers: noted in a microsecond, counted together once a second."""

from __future__ import annotations

import logging
import threading
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred import codebook
from drugpred.monitoring.binning import Binning
from drugpred.monitoring.failure_log import FailureLog
from drugpred.monitoring.metrics import INPUTS, PREDICTIONS, PROBABILITY, PROFILES, SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from prometheus_client import Counter

    from drugpred.model_store import Card
    from drugpred.selection import Selection

    # A named tuple would take as long to make as all the rest of noting it.
    _Noted = tuple[NDArray[np.float64], NDArray[np.float64], Selection]

logger = logging.getLogger(__name__)

_SECONDS: Final = 1.0  # the longest that what was noted waits: a killed process loses no more
_SETTLED_SECONDS: Final = 60.0  # for how long it works before the log says so again

_EARLY: Final = 1024
"""So many profiles are counted at once without waiting; each holds a kilobyte, which should stay in the cache."""

_MAX: Final = 64 * _EARLY  # so many are counted by whoever notes one more: the thread does not keep up


class PredictionCounter:
    """Notes what was answered, and counts it in a thread between `start` and `stop`.

    Several threads may use it.

    Parameters
    ----------
    card : Card
        Of the model that answers: its bins and thresholds.
    """

    def __init__(self, card: Card) -> None:
        self._input_bins = Binning(card.input_bins)
        self._score_bins = Binning(card.probability_bins)
        self._thresholds = {
            window: np.array([card.drugs[drug][window].threshold for drug in codebook.DRUGS])
            for window in codebook.WINDOWS
        }
        # Looked up once; and Prometheus sees the first increase of series that begin at 0.
        self._inputs = [INPUTS.labels(*of) for of in self._input_bins.series]
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

    def add(self, rows: NDArray[np.float64], probabilities: NDArray[np.float64], selection: Selection) -> None:
        """Note profiles that were answered; nobody may change the arrays afterwards.

        Parameters
        ----------
        rows : ndarray of shape (n, 12)
        probabilities : ndarray of shape (n, 18, 6)
        selection : Selection
            What was asked for.
        """
        with self._lock:
            self._noted.append((rows, probabilities, selection))
            self._waiting += len(rows)
            waiting = self._waiting
        if waiting >= _EARLY:
            if waiting >= _MAX:
                self._try_to_flush()
            else:
                self._wake.set()

    def add_each(
        self, rows: NDArray[np.float64], probabilities: NDArray[np.float64], selections: Sequence[Selection]
    ) -> None:
        """Note profiles that asked for n selections, otherwise as `add`."""
        start = 0
        for selection, alike in groupby(selections):
            stop = start + len(list(alike))
            self.add(rows[start:stop], probabilities[start:stop], selection)
            start = stop

    def start(self) -> None:
        """Count from now on."""
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after counting what was noted."""
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
        except Exception:  # noqa: BLE001 - to answer without counting is better than not to answer
            self._failures.failed("profiles were not counted", traceback=True)
        else:
            self._failures.worked()

    def flush(self) -> None:
        """Count what was noted."""
        with self._counting:
            with self._lock:
                noted, self._noted, self._waiting = self._noted, [], 0
            if noted:
                self._count(noted)

    def _count(self, noted: Sequence[_Noted]) -> None:
        rows, probabilities, selections = zip(*noted, strict=True)
        sizes = [len(each) for each in rows]
        probability = np.concatenate(probabilities)
        PROFILES.inc(len(probability))
        _increase(self._inputs, self._input_bins.count(np.concatenate(rows).T))
        _increase(self._scores, self._score_bins.count(probability[:, :, codebook.DECADE].T))
        windows = np.repeat([selection.window_index for selection in selections], sizes)
        selected = np.repeat([selection.mask for selection in selections], sizes, axis=0)
        for window, index in {(selection.window, selection.window_index) for selection in selections}:
            within = windows == index
            p = probability[within, :, index]
            high, chosen = p >= self._thresholds[window], selected[within]
            for label, predicted in zip(codebook.RISK_LABELS, (~high & chosen, high & chosen), strict=True):
                _increase(self._predictions[window, label], np.count_nonzero(predicted, axis=0))
                _increase(self._probability[window, label], np.einsum("ij,ij->j", p, predicted))


def _increase(series: Sequence[Counter], by: NDArray[np.int64] | NDArray[np.float64]) -> None:
    # Each costs microseconds, and most are 0 where few profiles came.
    for each, amount in zip(series, by.tolist(), strict=True):
        if amount:
            each.inc(amount)
