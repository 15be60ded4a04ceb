"""The scikit-learn pipeline behind FastAPI, tuned as `fastapi_scorer` is: python -m peers.fastapi_pipeline PORT."""

import sys

import numpy as np
import uvicorn
from fastapi import FastAPI

from drugpred.schemas import Profile
from peers.pipeline import Decade

app = FastAPI()
decade = Decade()


@app.post("/predict")
async def predict(profile: Profile) -> list[float]:
    """Return the probabilities of one person."""
    probabilities: list[float] = decade.probabilities(np.array([profile.row()]))[0].tolist()
    return probabilities


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
