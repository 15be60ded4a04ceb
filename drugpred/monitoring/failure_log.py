"""A log for operations that may fail repeatedly: one line at the first failure, one when they work again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


class FailureLog:
    """Log of changes between failing and working.

    Parameters
    ----------
    logger : logging.Logger
    again : str
        The line to log when it works again.
    seconds : float, optional
        How long it must work without a failure before that line: so occasional failures are logged once.
    """

    def __init__(self, logger: logging.Logger, again: str, seconds: float = 0.0) -> None:
        self._logger = logger
        self._again = again
        self._seconds = seconds
        self._failing = False
        self._failed_at = 0.0

    def failed(self, line: str, *, traceback: bool = False) -> None:
        """Log a failure, unless a failure was logged since it last worked."""
        self._failed_at = time.monotonic()
        if not self._failing:
            self._failing = True
            self._logger.warning(line, exc_info=traceback)

    def worked(self) -> None:
        """Log that it works again, if it failed before."""
        if self._failing and time.monotonic() - self._failed_at >= self._seconds:
            self._failing = False
            self._logger.warning(self._again)
