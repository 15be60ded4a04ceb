"""Conversion between protobuf messages and `drugpred.schemas`, without validation."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import numpy as np

from drugpred import codebook
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import Addition
from drugpred.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from drugpred.model_store import StoredModel
    from drugpred.schemas import Prediction, Profile, Risk, Support
    from drugpred.scoring import PredictedArrays
    from drugpred.selection import Selection

_TEMPLATES: Final = 256  # cached templates, for 6 windows and any choice of drugs
DRUGS: Final = {drug: pb.Drug.Value(f"DRUG_{drug.upper()}") for drug in codebook.DRUGS}  # enum number of each drug

WINDOWS: Final = {window: pb.Window.Value(f"WINDOW_{window.upper()}") for window in codebook.WINDOWS}
"""Enum number of each window."""

DATA_SOURCES: Final = {
    source: pb.DataSource.Value(f"DATA_SOURCE_{source.upper()}") for source in ("uci", "file", "simulated")
}
"""Enum number of each data source."""


def _labels(labels: Iterable[str]) -> dict[int, str]:
    """Return labels by their enum number; 0 means unspecified."""
    return dict(enumerate(labels, 1))


_CATEGORIES: Final = {category.name: _labels(category.labels) for category in codebook.CATEGORIES}
_SCORES: Final = tuple(score.name for score in codebook.SCORES)
_DRUG_LABELS: Final = _labels(codebook.DRUGS)
_WINDOW_LABELS: Final = _labels(codebook.WINDOWS)
_SCALE_LABELS: Final = _labels(["standardized", "raw"])
SUPPORT_LEVELS: Final = {
    level: pb.SupportLevel.Value(f"SUPPORT_LEVEL_{level.upper()}") for level in codebook.SUPPORT_LEVELS
}
"""Enum number of each level of support."""

_INCLUDE_LABELS: Final = _labels(get_args(Addition))


def profile(message: pb.Profile) -> dict[str, object]:
    """Return a profile as the dict that HTTP would receive.

    Fields that are not set are left out. An unknown number becomes None, which validation rejects.
    """
    content = options(message)
    match message.WhichOneof("age"):
        case "years":
            content["age"] = message.years
        case "band":
            content["age"] = _CATEGORIES["age"].get(message.band)
    for name in ("gender", "education", "country", "ethnicity"):
        if number := getattr(message, name):
            content[name] = _CATEGORIES[name].get(number)
    for name in _SCORES:
        value = getattr(message, name)
        if value or message.HasField(name):  # a score is rarely 0, so HasField is rarely called
            content[name] = value
    return content


def options(message: pb.Profile | pb.PredictStreamRequest) -> dict[str, object]:
    """Return the options that profiles and chunks share: scale, window, drugs and additions, if they are set."""
    content: dict[str, object] = {}
    if message.scale:
        content["scale"] = _SCALE_LABELS.get(message.scale)
    if message.window:
        content["window"] = _WINDOW_LABELS.get(message.window)
    if message.drugs:
        content["drugs"] = [_DRUG_LABELS.get(number) for number in message.drugs]
    if message.include:
        content["include"] = [_INCLUDE_LABELS.get(number) for number in message.include]
    return content


def columns(message: pb.PredictStreamRequest) -> dict[str, NDArray[Any]]:
    """Return a chunk's columns, as `drugpred.tabular.encode` takes them."""
    codes = {name: np.array(getattr(message, name), np.int64) - 1 for name in _CATEGORIES}
    return codes | {name: np.array(getattr(message, name), np.float64) for name in _SCORES}


def prediction(answer: Prediction) -> pb.Prediction:
    """Return the message for a prediction."""
    return pb.Prediction(
        prediction_id=answer.prediction_id,
        model=answer.model,
        window=WINDOWS[answer.window],
        data_source=DATA_SOURCES[answer.data_source],
        risks=map(_risk, answer.risks),
        support=answer.support and _support(answer.support),
    )


def _support(support: Support) -> pb.Support:
    return pb.Support(
        similar=support["similar"], percentile=support["percentile"], level=SUPPORT_LEVELS[support["level"]]
    )


def _risk(risk: Risk) -> pb.Risk:
    # The names are the same except for the label, in nested messages too, and None stays unset.
    content: dict[str, Any] = {name: value for name, value in risk.items() if name != "label"}
    return pb.Risk(**content | {"drug": DRUGS[risk["drug"]], "prediction": bool(risk["prediction"])})


def model(model: StoredModel) -> pb.GetModelResponse:
    """Return the message that describes a model."""
    card = model.card
    return pb.GetModelResponse(
        model=model.tag,
        data_source=DATA_SOURCES[card.data.source],
        measures=[
            pb.Measure(
                drug=DRUGS[drug],
                window=WINDOWS[window],
                threshold=figures.threshold,
                base_rate=figures.base_rate,
                auc=figures.auc,
                reliable=figures.reliable,
            )
            for drug in codebook.DRUGS
            for window in codebook.WINDOWS
            for figures in [card.drugs[drug][window]]
        ],
        card=model.card_json,
    )


class _Template(NamedTuple):
    """The parts that all predictions for one selection share."""

    message: pb.Prediction
    thresholds: list[float]


class MessageRenderer:
    """Writer of a model's predictions as messages, without explanations.

    It fills templates: building each message from its parts would cost more than the prediction.
    """

    def __init__(self, model: StoredModel) -> None:
        self._model = model
        self._template = lru_cache(_TEMPLATES)(self._make)

    def render(self, message: pb.Prediction, profile: Profile, arrays: PredictedArrays) -> None:
        """Write the prediction for a profile into an empty message."""
        selection = select(profile.window, profile.drugs)
        template = self._template(selection)
        message.CopyFrom(template.message)
        message.prediction_id = arrays.prediction_id
        windows = "windows" in profile.include
        if arrays.support is not None:
            message.support.CopyFrom(_support(arrays.support))
        for risk, drug, threshold in zip(message.risks, selection.drug_indices, template.thresholds, strict=True):
            probability = arrays.selected[drug]
            risk.probability = probability
            if probability >= threshold:
                risk.prediction = True
            if windows:
                into = risk.windows
                into.ever, into.decade, into.year, into.month, into.week, into.day = arrays.probabilities[drug].tolist()
            if arrays.bounds is not None and arrays.selected_bounds is not None:
                risk.interval.low, risk.interval.high = arrays.selected_bounds[drug]
                if windows:
                    for window, (low, high) in zip(codebook.WINDOWS, arrays.bounds[drug].tolist(), strict=True):
                        interval = getattr(risk.window_intervals, window)
                        interval.low, interval.high = low, high

    def _make(self, selection: Selection) -> _Template:
        card = self._model.card
        figures = [(drug, card.drugs[drug][selection.window]) for drug in selection.drugs]
        message = pb.Prediction(
            model=self._model.tag,
            window=WINDOWS[selection.window],
            data_source=DATA_SOURCES[card.data.source],
            risks=[
                pb.Risk(
                    drug=DRUGS[drug],
                    threshold=each.threshold,
                    base_rate=each.base_rate,
                    auc=each.auc,
                    reliable=each.reliable,
                )
                for drug, each in figures
            ],
        )
        return _Template(message, [each.threshold for _, each in figures])
