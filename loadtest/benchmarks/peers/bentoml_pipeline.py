"""The scikit-learn pipeline behind BentoML, batched as its documentation shows it."""

import bentoml
import numpy as np
from numpy.typing import NDArray

from loadtest.benchmarks.peers.pipeline import Decade


@bentoml.service
class Service:
    """Probabilities from rows."""

    def __init__(self) -> None:
        self.decade = Decade()

    @bentoml.api(batchable=True)  # type: ignore[untyped-decorator]
    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of each row."""
        return self.decade.probabilities(rows)
