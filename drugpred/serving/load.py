"""How much is held at once: what is over it is refused before memory grows."""

from __future__ import annotations

from typing import Final

from drugpred.serving.admission import OverloadedError

__all__ = ["MOST_BYTES", "MOST_SLOW", "MOST_WAITING", "Bound"]

MOST_BYTES: Final = 16 * 2**20
"""Of all bodies that a worker has taken and not answered."""

MOST_WAITING: Final = 20_000
"""Profiles that wait for their batch: they take a second, and 50 MB."""

MOST_SLOW: Final = 64
"""Requests with explanations, of which a worker makes a hundred a second."""


class Bound:
    """Counts what is held, in one event loop.

    Parameters
    ----------
    most : int
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    def take(self, amount: int) -> None:
        """Hold so much more.

        Raises
        ------
        OverloadedError
            It would be too much; then it is not held.
        """
        if self._held + amount > self._most:
            raise OverloadedError
        self._held += amount

    def give(self, amount: int) -> None:
        """Hold so much less."""
        self._held -= amount
