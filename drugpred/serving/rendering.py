"""Predictions as JSON, from templates: building and serializing each one would cost twice as much.

The text is the same as that of `drugpred.schemas.Prediction`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from drugpred.codebook import RISK_LABELS, WINDOWS
from drugpred.selection import select

if TYPE_CHECKING:
    from drugpred.model_store import StoredModel
    from drugpred.schemas import Addition, Profile
    from drugpred.scoring import PredictedArrays
    from drugpred.selection import Selection

_TEMPLATES: Final = 256  # cached templates, for 6 windows, any choice of drugs and of additions

_LOW, _HIGH = (f'{prediction},"label":"{label}"' for prediction, label in enumerate(RISK_LABELS))

_INTERVAL: Final = '{"low":%r,"high":%r}'
_SUPPORT: Final = ',"support":{"similar":%d,"percentile":%d,"level":"%s"}'


class _Template(NamedTuple):
    """The parts that all predictions for one selection share."""

    text: str  # with a placeholder for each number that depends on the person
    drugs: list[tuple[int, float]]  # index in the codebook and threshold of each drug


class JSONRenderer:
    """Writer of a model's predictions as JSON, without explanations."""

    def __init__(self, model: StoredModel) -> None:
        self._model = model
        self._template = lru_cache(_TEMPLATES)(self._make)

    def render(self, profile: Profile, arrays: PredictedArrays) -> str:
        """Return the prediction for a profile."""
        windows = "windows" in profile.include
        template = self._template(select(profile.window, profile.drugs), profile.include)
        selected, probabilities = arrays.selected, arrays.probabilities
        numbers: list[object] = [arrays.prediction_id]
        for index, threshold in template.drugs:
            probability = selected[index]
            numbers += (probability, _HIGH if probability >= threshold else _LOW)
            if windows:
                numbers += probabilities[index].tolist()
            if arrays.bounds is not None and arrays.selected_bounds is not None:
                numbers += arrays.selected_bounds[index]
                if windows:
                    numbers += arrays.bounds[index].ravel().tolist()
        if arrays.support is not None:
            numbers += arrays.support.values()
        return template.text % tuple(numbers)

    def _make(self, selection: Selection, include: frozenset[Addition]) -> _Template:
        card = self._model.card
        end = _by_window("windows", "%r") if "windows" in include else ""
        if "interval" in include:
            end += f',"interval":{_INTERVAL}'
            end += _by_window("window_intervals", _INTERVAL) if "windows" in include else ""
        risks, drugs = [], []
        for index, drug in zip(selection.drug_indices, selection.drugs, strict=True):
            figures = card.drugs[drug][selection.window]
            known = _members({name: getattr(figures, name) for name in ("threshold", "base_rate", "auc", "reliable")})
            risks.append(f'{{"drug":"{drug}","probability":%r,"prediction":%s,{known}{end}}}')
            drugs.append((index, figures.threshold))
        head = _members({"model": self._model.tag, "window": selection.window, "data_source": card.data.source})
        support = _SUPPORT if "support" in include else ""
        return _Template(f'{{"prediction_id":"%s",{head},"risks":[{",".join(risks)}]{support}}}', drugs)


def _by_window(name: str, value: str) -> str:
    """Return a member of a JSON object for a template, with a value for each window."""
    values = ",".join(f'"{window}":{value}' for window in WINDOWS)
    return f',"{name}":{{{values}}}'


def _members(members: dict[str, object]) -> str:
    """Return the members of a JSON object, escaped for a template."""
    return json.dumps(members, separators=(",", ":"))[1:-1].replace("%", "%%")
