"""Conversion between protobuf messages and `drugpred.schemas`, without validation."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import numpy as np

from drugpred import codebook
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import Addition
from drugpred.selection import select
from drugpred.serving.rendering import Template

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from drugpred.model_store import StoredModel
    from drugpred.schemas import Prediction, Profile, Risk, Support
    from drugpred.scoring import PredictedArrays
    from drugpred.selection import Selection

_TEMPLATES: Final = 256  # cached templates, for 6 windows, any choice of drugs and of additions

_MARK: Final = -1.2345678901234567e-89  # in a template, in place of a number that depends on the person
_PREDICTION: Final = b"\x18"  # the tag of Risk.prediction, which follows the probability
_FLAGS: Final = (False, True)

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
    """The parts that all predictions for one selection share, and the layout of all parts."""

    template: Template
    layout: struct.Struct


class MessageRenderer:
    """Writer of a model's predictions as serialized messages, without explanations.

    Their layout is fixed, except for the support at their end: a low risk is written too, which is as good as absent.
    """

    def __init__(self, model: StoredModel) -> None:
        self._model = model
        self._template = lru_cache(_TEMPLATES)(self._make)

    def render(self, profile: Profile, arrays: PredictedArrays) -> bytes:
        """Return the prediction for a profile, as the first field of a message."""
        prediction_id = arrays.prediction_id.encode()
        selection = select(profile.window, profile.drugs)
        template, layout = self._template(selection, profile.include - {"support"}, len(prediction_id))
        numbers = template.numbers(profile, arrays)
        content = layout.pack(*template.fill(prediction_id, numbers, numbers, _FLAGS))
        if arrays.support is not None:
            content += pb.Prediction(support=_support(arrays.support)).SerializeToString()
        return as_first_field(content)

    def _make(self, selection: Selection, include: frozenset[Addition], id_length: int) -> _Template:
        card = self._model.card
        figures = [(drug, card.drugs[drug][selection.window]) for drug in selection.drugs]
        window_numbers = dict.fromkeys(codebook.WINDOWS, _MARK)
        interval = pb.Interval(low=_MARK, high=_MARK)
        has_interval, has_windows = "interval" in include, "windows" in include
        message = pb.Prediction(
            prediction_id="\0" * id_length,
            model=self._model.tag,
            window=WINDOWS[selection.window],
            data_source=DATA_SOURCES[card.data.source],
            risks=[
                pb.Risk(
                    drug=DRUGS[drug],
                    probability=_MARK,
                    prediction=True,
                    threshold=each.threshold,
                    base_rate=each.base_rate,
                    auc=each.auc,
                    reliable=each.reliable,
                    windows=pb.WindowProbabilities(**window_numbers) if has_windows else None,
                    interval=interval if has_interval else None,
                    window_intervals=pb.WindowIntervals(**dict.fromkeys(codebook.WINDOWS, interval))
                    if has_windows and has_interval
                    else None,
                )
                for drug, each in figures
            ],
        )
        head, _, rest = message.SerializeToString(deterministic=True).partition(b"\0" * id_length)
        first, *others = rest.split(struct.pack("<d", _MARK))
        parts: list[Any] = [head, b"", first]
        kinds = f"<{len(head)}s{id_length}s{len(first)}s"
        each = len(others) // len(figures)  # numbers of a risk
        for i, other in enumerate(others):
            flag = b"" if i % each else _PREDICTION
            end = other.removeprefix(flag + b"\1") if flag else other
            parts += [0.0, flag, False, end] if flag else [0.0, end]
            kinds += f"d{len(flag)}s?{len(end)}s" if flag else f"d{len(end)}s"
        thresholds = [each.threshold for _, each in figures]
        return _Template(Template(parts, selection.drug_indices, thresholds), struct.Struct(kinds))


def as_first_field(content: bytes) -> bytes:
    """Return a serialized message as field 1 of another one."""
    length, prefix = len(content), b"\n"
    while length > 127:  # a varint has 7 bits in each byte
        prefix += bytes([length & 127 | 128])
        length >>= 7
    return prefix + bytes([length]) + content
