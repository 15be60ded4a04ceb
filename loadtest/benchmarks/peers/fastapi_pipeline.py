"""The scikit-learn pipeline in FastAPI: python -m loadtest.benchmarks.peers.fastapi_pipeline PORT."""

import numpy as np
from fastapi import FastAPI

from drugpred.schemas import Profile
from loadtest.benchmarks.peers import asgi
from loadtest.benchmarks.peers.pipeline import Decade

app = FastAPI()
decade = Decade()


@app.post("/predict")
async def predict(profile: Profile) -> list[float]:
    """Return the probabilities of one person."""
    probabilities: list[float] = decade.probabilities(np.array([profile.row()]))[0].tolist()
    return probabilities


if __name__ == "__main__":
    asgi.serve(app)
