"""The project's predictor in Ray Serve with one replica: python -m loadtest.benchmarks.peers.ray_serve PORT network."""

import sys

import numpy as np
import ray  # type: ignore[import-not-found]
from ray import serve
from starlette.requests import Request

from loadtest.benchmarks.peers.network import Network


class Deployment:
    """Probabilities from one row."""

    def __init__(self) -> None:
        self.model = Network()

    async def __call__(self, request: Request) -> list[float]:
        """Return the probabilities of a request's row."""
        row = (await request.json())["row"]
        probabilities: list[float] = self.model.probabilities(np.array([row]))[0].tolist()
        return probabilities


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    deployment = serve.deployment(logging_config={"enable_access_log": False})(Deployment)
    serve.run(deployment.bind(), route_prefix="/predict", blocking=True)
