"""Predictions from templates: building and serializing each one would cost twice as much.

The JSON is the same as that of `drugpred.schemas.Prediction`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic_core import to_json

from drugpred.codebook import RISK_LABELS, WINDOWS
from drugpred.selection import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drugpred.model_store import StoredModel
    from drugpred.schemas import Addition, Profile
    from drugpred.scoring import PredictedArrays
    from drugpred.selection import Selection

_TEMPLATES: Final = 256  # cached templates, for 6 windows, any choice of drugs and of additions

_LABELS: Final = [f'{prediction},"label":"{label}"'.encode() for prediction, label in enumerate(RISK_LABELS)]

_HOLE: Final = "\0"  # the place of a value in a template: JSON escapes this character in texts
_ID: Final = 1  # part of a template with the prediction's id
_FIRST: Final = 3  # part with the first probability

_INTERVAL: Final = f'{{"low":{_HOLE},"high":{_HOLE}}}'
_SUPPORT: Final = f',"support":{{"similar":{_HOLE},"percentile":{_HOLE},"level":"{_HOLE}"}}'


class Template(NamedTuple):
    """The parts that all predictions for one selection share, for any format.

    Every second part is the place of a value that depends on the person: of the id; then for each drug of the
    probability, of the label, and of the additions.
    """

    parts: list[Any]
    drugs: list[int]  # index of each in the codebook
    thresholds: list[float]

    def numbers(self, profile: Profile, arrays: PredictedArrays) -> list[float]:
        """Return the probability of each drug, each followed by the numbers that the profile adds to it."""
        if not profile.include:
            return [arrays.selected[index] for index in self.drugs]
        windows = "windows" in profile.include
        numbers: list[float] = []
        for index in self.drugs:
            numbers.append(arrays.selected[index])
            if windows:
                numbers += arrays.probabilities[index].tolist()
            if arrays.bounds is not None and arrays.selected_bounds is not None:
                numbers += arrays.selected_bounds[index]
                if windows:
                    numbers += arrays.bounds[index].ravel().tolist()
        return numbers

    def fill(
        self, prediction_id: bytes, numbers: list[float], written: Sequence[Any], labels: Sequence[Any]
    ) -> list[Any]:
        """Return the parts with a person's values: the numbers as they are written, and labels, low and high."""
        each = len(numbers) // len(self.drugs)
        step = 2 * (each + 1)
        end = _FIRST + step * len(self.drugs)
        low, high = labels
        parts = self.parts.copy()
        parts[_ID] = prediction_id
        parts[_FIRST:end:step] = written[::each]
        parts[_FIRST + 2 : end : step] = [
            high if probability >= threshold else low
            for probability, threshold in zip(numbers[::each], self.thresholds, strict=True)
        ]
        for i in range(1, each):
            parts[_FIRST + 2 + 2 * i : end : step] = written[i::each]
        return parts


class JSONRenderer:
    """Writer of a model's predictions as JSON, without explanations."""

    def __init__(self, model: StoredModel) -> None:
        self._model = model
        self._template = lru_cache(_TEMPLATES)(self._make)

    def render(self, profile: Profile, arrays: PredictedArrays) -> bytes:
        """Return the prediction for a profile."""
        template = self._template(select(profile.window, profile.drugs), profile.include)
        numbers = template.numbers(profile, arrays)
        # pydantic writes floats, all at once, in an eighth of Python's time.
        written = to_json(numbers)[1:-1].split(b",")
        parts = template.fill(arrays.prediction_id.encode(), numbers, written, _LABELS)
        if arrays.support is not None:
            parts[-6::2] = [str(value).encode() for value in arrays.support.values()]
        return b"".join(parts)

    def _make(self, selection: Selection, include: frozenset[Addition]) -> Template:
        card = self._model.card
        end = _by_window("windows", _HOLE) if "windows" in include else ""
        if "interval" in include:
            end += f',"interval":{_INTERVAL}'
            end += _by_window("window_intervals", _INTERVAL) if "windows" in include else ""
        risks, thresholds = [], []
        for drug in selection.drugs:
            figures = card.drugs[drug][selection.window]
            known = _members({name: getattr(figures, name) for name in ("threshold", "base_rate", "auc", "reliable")})
            risks.append(f'{{"drug":"{drug}","probability":{_HOLE},"prediction":{_HOLE},{known}{end}}}')
            thresholds.append(figures.threshold)
        head = _members({"model": self._model.tag, "window": selection.window, "data_source": card.data.source})
        support = _SUPPORT if "support" in include else ""
        text = f'{{"prediction_id":"{_HOLE}",{head},"risks":[{",".join(risks)}]{support}}}'
        first, *others = text.encode().split(_HOLE.encode())
        parts = [first, *(part for other in others for part in (b"", other))]
        return Template(parts, selection.drug_indices, thresholds)


def _by_window(name: str, value: str) -> str:
    """Return a member of a JSON object for a template, with a value for each window."""
    values = ",".join(f'"{window}":{value}' for window in WINDOWS)
    return f',"{name}":{{{values}}}'


def _members(members: dict[str, object]) -> str:
    """Return the members of a JSON object, without its braces."""
    return json.dumps(members, separators=(",", ":"))[1:-1]
