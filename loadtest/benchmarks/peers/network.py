"""The project's predictor for peers whose environment has only numpy, and a peer's choice of the model."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drugpred.codebook import DECADE
from drugpred.predictor import Predictor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from loadtest.benchmarks.peers.pipeline import Decade

ARGUMENT: Final = "network"  # of a peer that serves it in place of the pipeline


class Network:
    """Probabilities of use within a decade, by the predictor in the folder STORED_MODEL."""

    def __init__(self) -> None:
        self._predictor = Predictor.load(Path(os.environ["STORED_MODEL"]) / "network.npz")

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of 18 drugs, shape (n, 18), for rows of shape (n, 12)."""
        return self._predictor.predict_proba(rows)[:, :, DECADE]


def model() -> Network | Decade:
    """Return the model that the command line names after the port, by default the pipeline."""
    if sys.argv[2:] == [ARGUMENT]:
        return Network()
    from loadtest.benchmarks.peers.pipeline import Decade  # not every peer has scikit-learn

    return Decade()
