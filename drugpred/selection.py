"""The selection of a prediction: a window of time and some of the drugs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from drugpred.codebook import DRUGS, WINDOW_INDEX

if TYPE_CHECKING:
    from drugpred.codebook import Drug, Window

_KEPT: Final = 256  # cached selections: 6 windows and the usual choices of drugs


class Selection:
    """A window and drugs; created by `select`, equal only to itself.

    Parameters
    ----------
    window : str
    drugs : frozenset of str

    Attributes
    ----------
    window_index : int
        Index of the window in `codebook.WINDOWS`.
    drugs : tuple of str
        Drugs in the order of the codebook.
    drug_indices : list of int
        Indices of the drugs in `codebook.DRUGS`.
    mask : ndarray of shape (18,)
        Whether each drug of the codebook is selected.
    """

    __slots__ = ("drug_indices", "drugs", "mask", "window", "window_index")

    def __init__(self, window: Window, drugs: frozenset[Drug]) -> None:
        self.window = window
        self.window_index = WINDOW_INDEX[window]
        self.drugs = tuple(drug for drug in DRUGS if drug in drugs)
        self.drug_indices = [index for index, drug in enumerate(DRUGS) if drug in drugs]
        self.mask = np.array([drug in drugs for drug in DRUGS])

    def __repr__(self) -> str:
        return f"Selection({self.window!r}, {self.drugs!r})"


@lru_cache(_KEPT)
def select(window: Window, drugs: frozenset[Drug]) -> Selection:
    """Return the selection of a window and drugs; frequent ones are always the same object."""
    return Selection(window, drugs)
