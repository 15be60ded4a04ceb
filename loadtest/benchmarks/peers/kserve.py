"""The project's predictor in KServe's Python server: python -m loadtest.benchmarks.peers.kserve PORT network."""

import sys
from typing import Any

import kserve  # type: ignore[import-not-found]
import numpy as np

from loadtest.benchmarks.peers.network import model


class Model(kserve.Model):  # type: ignore[misc]
    """Probabilities from rows."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.model = model()
        self.ready = True

    async def predict(self, payload: dict[str, Any], *_: object, **__: object) -> dict[str, Any]:
        """Return the probabilities of each row."""
        return {"predictions": self.model.probabilities(np.array(payload["instances"])).tolist()}


if __name__ == "__main__":
    server = kserve.ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1, access_log_format=None)
    server.start([Model("drug_consumption")])
