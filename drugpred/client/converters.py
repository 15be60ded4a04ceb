"""Between `drugpred.schemas` and protobuf messages, in the caller's direction.

The constants of the enums are the codebook's names, and their numbers its codes from 1 on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from drugpred import codebook
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import Prediction, Risk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from drugpred.client.calls import StreamOptions
    from drugpred.codebook import DataSource, Drug, Window
    from drugpred.schemas import Profile

__all__ = ["chunk", "prediction", "probabilities", "profile"]

_SCORES: Final = tuple(score.name for score in codebook.SCORES)


def profile(asked: Profile) -> pb.Profile:
    """Return the message of a profile."""
    codes: dict[str, Any] = {
        category.name: category.codes[getattr(asked, category.name)] + 1 for category in codebook.CATEGORIES
    }
    return pb.Profile(
        scale=f"SCALE_{asked.scale.upper()}",
        band=codes.pop("age"),
        **codes,
        **{name: getattr(asked, name) for name in _SCORES},
        drugs=_drugs(asked.drugs),
        window=_window(asked.window),
        include=[f"INCLUDE_{addition.upper()}" for addition in asked.include],
    )


def prediction(answered: pb.Prediction) -> Prediction:
    """Return the answer of a message."""
    return Prediction.model_construct(
        prediction_id=answered.prediction_id,
        model=answered.model,
        window=cast("Window", pb.Window.Name(answered.window).removeprefix("WINDOW_").lower()),
        data_source=cast("DataSource", pb.DataSource.Name(answered.data_source).removeprefix("DATA_SOURCE_").lower()),
        risks=[_risk(risk) for risk in answered.risks],
    )


def chunk(number: int, rows: NDArray[np.float64], wanted: StreamOptions) -> pb.PredictStreamRequest:
    """Return people's rows as packed columns."""
    categories = len(codebook.CATEGORIES)
    codes = (rows[:, :categories].astype(np.int64) + 1).T.tolist()
    return pb.PredictStreamRequest(
        chunk=number,
        **dict(zip(codebook.INPUTS, codes + rows[:, categories:].T.tolist(), strict=True)),
        drugs=_drugs(wanted.drugs),
        window=_window(wanted.window),
    )


def probabilities(answered: pb.PredictStreamResponse, people: int, wanted: StreamOptions) -> NDArray[np.float64]:
    """Return what was answered for a chunk, shape (people, drugs wanted)."""
    told = [_drug(number) for number in answered.drugs]
    table = np.array(answered.probabilities).reshape(people, len(told))
    return table[:, [told.index(drug) for drug in wanted.drugs]]


def _risk(answered: pb.Risk) -> Risk:
    risk: Risk = {
        "drug": _drug(answered.drug),
        "probability": answered.probability,
        "prediction": 1 if answered.prediction else 0,
        "label": codebook.RISK_LABELS[answered.prediction],
        "threshold": answered.threshold,
        "base_rate": answered.base_rate,
        "auc": answered.auc if answered.HasField("auc") else None,
        "reliable": answered.reliable,
    }
    if answered.HasField("windows"):
        risk["windows"] = {window: getattr(answered.windows, window) for window in codebook.WINDOWS}
    if answered.HasField("explanation"):
        contributions = answered.explanation.contributions
        risk["explanation"] = {
            "base": answered.explanation.base,
            "contributions": {name: getattr(contributions, name) for name in codebook.INPUTS},
        }
    return risk


def _drug(number: int) -> Drug:
    return cast("Drug", pb.Drug.Name(number).removeprefix("DRUG_").lower())


def _drugs(drugs: Iterable[Drug]) -> list[str]:
    return [f"DRUG_{drug.upper()}" for drug in drugs]


def _window(window: Window) -> str:
    return f"WINDOW_{window.upper()}"
