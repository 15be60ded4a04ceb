"""The scikit-learn pipeline or the predictor in LitServe, whose model runs in a separate process.

usage: python -m loadtest.benchmarks.peers.litserve PORT [network]
"""

import sys
from typing import Any

import litserve  # type: ignore[import-not-found]
import numpy as np
from numpy.typing import NDArray

from loadtest.benchmarks.peers.network import model


class API(litserve.LitAPI):  # type: ignore[misc]
    """Probabilities from one row."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Read the model."""
        self.model = model()

    def decode_request(self, request: dict[str, Any]) -> NDArray[np.float64]:
        """Return the row of a request, shape (1, 12)."""
        return np.array([request["row"]])

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of each row."""
        return self.model.probabilities(rows)

    def encode_response(self, probabilities: NDArray[np.float64]) -> dict[str, list[float]]:
        """Return the body of an answer."""
        return {"probabilities": probabilities[0].tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(API(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False)
