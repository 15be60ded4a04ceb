"""Our predictor behind FastAPI: python -m loadtest.benchmarks.peers.fastapi_scorer PORT."""

from fastapi import FastAPI

from drugpred.schemas import Prediction, Profile
from loadtest.benchmarks.peers import asgi, scorer

app = FastAPI()
predictor = scorer.load()


@app.post("/predict")
async def predict(profile: Profile) -> Prediction:
    """Predict for one person, as our own POST /predict does."""
    return predictor.predict([profile])[0]


if __name__ == "__main__":
    asgi.serve(app)
