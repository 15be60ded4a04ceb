"""The stored scikit-learn pipeline, for the peers that serve it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import skops.io

from drugpred.codebook import DECADE
from drugpred.training.estimators import TRUSTED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Decade:
    """Probabilities of use within a decade, by the pipeline in the folder STORED_MODEL."""

    def __init__(self) -> None:
        self._pipeline = skops.io.load(Path(os.environ["STORED_MODEL"]) / "pipeline.skops", trusted=TRUSTED)

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of 18 drugs, shape (n, 18), for rows of shape (n, 12)."""
        probabilities: NDArray[np.float64] = self._pipeline.predict_proba(rows)[:, :, DECADE]
        return probabilities
