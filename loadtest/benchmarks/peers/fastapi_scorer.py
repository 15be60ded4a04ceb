"""The project's predictor in FastAPI: python -m loadtest.benchmarks.peers.fastapi_scorer PORT."""

from fastapi import FastAPI

from drugpred.schemas import Prediction, Profile
from loadtest.benchmarks.peers import asgi, scorer

app = FastAPI()
predictor = scorer.load()


@app.post("/predict")
async def predict(profile: Profile) -> Prediction:
    """Return the prediction for one person, like this service's POST /predict."""
    return predictor.predict([profile])[0]


if __name__ == "__main__":
    asgi.serve(app)
