"""The scikit-learn pipeline in BentoML, batched as in BentoML's documentation."""

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
