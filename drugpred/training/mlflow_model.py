"""The stored model as MLflow runs it: `tracking` logs this file in place of a pickled object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd  # noqa: TC002 - MLflow reads the hints of `predict`, and warns if it cannot
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from drugpred.model import load


class DrugModel(PythonModel):
    """Maps a DataFrame of people to one of each drug's probability, as `drugpred.Model.predict_proba` does."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the folder of the stored model."""
        self._model = load(Path(context.artifacts["model"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return the probabilities; parameters are window and scale."""
        return self._model.predict_proba(model_input, **(params or {}))


set_model(DrugModel())
