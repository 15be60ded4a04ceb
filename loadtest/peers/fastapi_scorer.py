"""Our predictor behind FastAPI, one uvicorn worker on uvloop and httptools: python -m peers.fastapi_scorer PORT."""

import sys

import uvicorn
from fastapi import FastAPI

from drugpred import model_store
from drugpred.schemas import Prediction, Profile
from drugpred.scoring import Scorer
from drugpred.settings import Settings

app = FastAPI()
scorer = Scorer(model_store.load(Settings().model))


@app.post("/predict")
async def predict(profile: Profile) -> Prediction:
    """Tell of one person, as our own POST /predict does."""
    return scorer.predict([profile])[0]


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
