"""The scikit-learn pipeline in MLflow, as `mlflow models serve` runs it.

usage: python -m loadtest.benchmarks.peers.mlflow PORT
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import uvicorn
from mlflow.pyfunc import save_model, scoring_server
from mlflow.pyfunc.model import PythonModel
from numpy.typing import NDArray

from loadtest.benchmarks.peers.pipeline import Decade


class Model(PythonModel):
    """Probabilities from rows."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401, ARG002 - MLflow's signature
        """Read the pipeline."""
        self.decade = Decade()

    def predict(self, context: Any, model_input: NDArray[np.float64], params: Any = None) -> Any:  # noqa: ANN401, ARG002
        """Return the probabilities of each row."""
        return self.decade.probabilities(np.asarray(model_input))


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        save_model(path, python_model=Model(), pip_requirements=[])
        os.environ[scoring_server._SERVER_MODEL_PATH] = str(path)
        uvicorn.run("mlflow.pyfunc.scoring_server.app:app", host="127.0.0.1", port=int(sys.argv[1]))
