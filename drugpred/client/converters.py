"""Conversion between `drugpred.schemas` and protobuf messages, for clients.

The constants of the enums are the codebook's names; their numbers are its codes, from 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from drugpred import codebook
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import Interval, Prediction, Risk, Support

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from drugpred.client.calls import StreamOptions
    from drugpred.codebook import DataSource, Drug, SupportLevel, Window
    from drugpred.schemas import Addition, Profile

_SCORES: Final = tuple(score.name for score in codebook.SCORES)


def profile(profile: Profile) -> pb.Profile:
    """Return the message of a profile."""
    codes: dict[str, Any] = {
        category.name: category.codes[getattr(profile, category.name)] + 1 for category in codebook.CATEGORIES
    }
    return pb.Profile(
        scale=f"SCALE_{profile.scale.upper()}",
        band=codes.pop("age"),
        **codes,
        **{name: getattr(profile, name) for name in _SCORES},
        drugs=_drugs(profile.drugs),
        window=_window(profile.window),
        include=_include(profile.include),
    )


def prediction(message: pb.Prediction) -> Prediction:
    """Return the prediction in a message."""
    return Prediction.model_construct(
        prediction_id=message.prediction_id,
        model=message.model,
        window=cast("Window", pb.Window.Name(message.window).removeprefix("WINDOW_").lower()),
        data_source=cast("DataSource", pb.DataSource.Name(message.data_source).removeprefix("DATA_SOURCE_").lower()),
        risks=[_risk(risk) for risk in message.risks],
        support=_support(message.support) if message.HasField("support") else None,
    )


def chunk(number: int, rows: NDArray[np.float64], options: StreamOptions) -> pb.PredictStreamRequest:
    """Return the message of a chunk, with rows as packed columns."""
    categories = len(codebook.CATEGORIES)
    codes = (rows[:, :categories].astype("int64") + 1).T.tolist()
    return pb.PredictStreamRequest(
        chunk=number,
        **dict(zip(codebook.INPUTS, codes + rows[:, categories:].T.tolist(), strict=True)),
        drugs=_drugs(options.drugs),
        window=_window(options.window),
        include=_include(options.include),
    )


def table(message: pb.PredictStreamResponse, people: int, options: StreamOptions) -> NDArray[np.float64]:
    """Return the answer to a chunk, of shape (people, columns)."""
    import numpy as np

    drugs = [_drug(number) for number in message.drugs]
    order = [drugs.index(drug) for drug in options.drugs]
    figures = [message.probabilities, *((message.low, message.high) if "interval" in options.include else ())]
    by_drug = [np.array(each).reshape(people, len(drugs))[:, order] for each in figures]
    columns = np.stack(by_drug, axis=2).reshape(people, -1)
    if "support" in options.include:
        support = [message.similar, message.percentile, np.array(message.level) - 1]
        columns = np.column_stack([columns, *(np.array(each, np.float64) for each in support)])
    return columns


def _risk(message: pb.Risk) -> Risk:
    risk: Risk = {
        "drug": _drug(message.drug),
        "probability": message.probability,
        "prediction": 1 if message.prediction else 0,
        "label": codebook.RISK_LABELS[message.prediction],
        "threshold": message.threshold,
        "base_rate": message.base_rate,
        "auc": message.auc if message.HasField("auc") else None,
        "reliable": message.reliable,
    }
    if message.HasField("windows"):
        risk["windows"] = {window: getattr(message.windows, window) for window in codebook.WINDOWS}
    if message.HasField("interval"):
        risk["interval"] = _interval(message.interval)
    if message.HasField("window_intervals"):
        risk["window_intervals"] = {
            window: _interval(getattr(message.window_intervals, window)) for window in codebook.WINDOWS
        }
    if message.HasField("explanation"):
        contributions = message.explanation.contributions
        risk["explanation"] = {
            "base": message.explanation.base,
            "contributions": {name: getattr(contributions, name) for name in codebook.INPUTS},
        }
    return risk


def _interval(message: pb.Interval) -> Interval:
    return {"low": message.low, "high": message.high}


def _support(message: pb.Support) -> Support:
    level = pb.SupportLevel.Name(message.level).removeprefix("SUPPORT_LEVEL_").lower()
    return {
        "similar": message.similar,
        "percentile": message.percentile,
        "level": cast("SupportLevel", level),
    }


def _include(additions: Iterable[Addition]) -> list[str]:
    return [f"INCLUDE_{addition.upper()}" for addition in additions]


def _drug(number: int) -> Drug:
    return cast("Drug", pb.Drug.Name(number).removeprefix("DRUG_").lower())


def _drugs(drugs: Iterable[Drug]) -> list[str]:
    return [f"DRUG_{drug.upper()}" for drug in drugs]


def _window(window: Window) -> str:
    return f"WINDOW_{window.upper()}"
