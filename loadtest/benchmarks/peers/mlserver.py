"""The scikit-learn pipeline or the predictor in MLServer, as a custom runtime in one process.

usage: python -m loadtest.benchmarks.peers.mlserver PORT [network]
"""

import asyncio
import sys

import numpy as np
import uvloop
from mlserver import MLModel, MLServer, ModelSettings, Settings  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]

from loadtest.benchmarks.peers.network import model


class Runtime(MLModel):  # type: ignore[misc]
    """Probabilities from a tensor of rows."""

    async def load(self) -> bool:
        """Read the model."""
        self.model = model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the probabilities of each row."""
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        output = NumpyCodec.encode_output("probabilities", self.model.probabilities(np.asarray(rows)))
        return InferenceResponse(model_name=self.name, outputs=[output])


async def main(port: int) -> None:
    """Serve until the process is ended."""
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=0,
        metrics_endpoint=None,
        parallel_workers=0,  # otherwise every request goes to a second process
        debug=False,
    )
    await MLServer(settings).start([ModelSettings(name="drug_consumption", implementation=Runtime)])


if __name__ == "__main__":
    uvloop.install()  # as `mlserver start` does
    asyncio.run(main(int(sys.argv[1])))
