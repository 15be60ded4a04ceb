"""The log of what may fail again and again: a line when it begins to, and one when it works again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


class FailureLog:
    """Logs changes between failing and working.

    Parameters
    ----------
    logger : logging.Logger
    again : str
        The line that says that it works again.
    seconds : float, optional
        How long it works without a failure before that is said: what fails now and then is logged once.
    """

    def __init__(self, logger: logging.Logger, again: str, seconds: float = 0.0) -> None:
        self._logger = logger
        self._again = again
        self._seconds = seconds
        self._failing = False
        self._failed_at = 0.0

    def failed(self, line: str, *, traceback: bool = False) -> None:
        """Log a failure, unless the last one was logged and it has not worked again since."""
        self._failed_at = time.monotonic()
        if not self._failing:
            self._failing = True
            self._logger.warning(line, exc_info=traceback)

    def worked(self) -> None:
        """Log that it works again, if it failed before."""
        if self._failing and time.monotonic() - self._failed_at >= self._seconds:
            self._failing = False
            self._logger.warning(self._again)
