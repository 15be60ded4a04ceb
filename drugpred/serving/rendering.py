"""Answers as JSON, made of templates: to build each from its parts and to write them costs twice as much.

The text says what `drugpred.schemas.Prediction` would.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from drugpred import codebook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drugpred.codebook import Drug, Window
    from drugpred.schemas import Profile
    from drugpred.scoring import Scorer

__all__ = ["JSONRenderer"]

_TEMPLATES: Final = 256
"""How many are kept, of 6 windows, any choice of drugs, and with the other windows or without."""

_LOW, _HIGH = (f'{prediction},"label":"{label}"' for prediction, label in enumerate(codebook.RISK_LABELS))


class _Template(NamedTuple):
    """All that answers about some drugs within a window have in common."""

    text: str
    """With a place for each number that depends on the person."""
    drugs: list[tuple[int, float]]
    """The place of each in the codebook, and its threshold."""


class JSONRenderer:
    """The answers of a scorer, but for explanations."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._template = lru_cache(_TEMPLATES)(self._make)

    def texts(self, profiles: Sequence[Profile]) -> list[str]:
        """Return the answer about each profile, in their order."""
        predicted = self._scorer.predict_arrays(profiles)
        texts = []
        for profile, _, probabilities, asked, token in zip(profiles, *predicted, strict=True):
            windows = "windows" in profile.include
            template = self._template(profile.window, profile.drugs, windows)
            numbers: list[object] = [token]
            for drug, threshold in template.drugs:
                probability = asked[drug]
                numbers += (probability, _HIGH if probability >= threshold else _LOW)
                if windows:
                    numbers += probabilities[drug].tolist()
            texts.append(template.text % tuple(numbers))
        return texts

    def _make(self, window: Window, drugs: frozenset[Drug], windows: bool) -> _Template:
        model = self._scorer.model
        drawn = ",".join(f'"{name}":%r' for name in codebook.WINDOWS)
        end = f',"windows":{{{drawn}}}}}' if windows else "}"
        risks, asked = [], []
        for place, drug in enumerate(codebook.DRUGS):
            if drug not in drugs:
                continue
            card = model.card.drugs[drug][window]
            known = _json(
                {"threshold": card.threshold, "base_rate": card.base_rate, "auc": card.auc, "reliable": card.reliable}
            )
            risks.append(f'{{"drug":"{drug}","probability":%r,"prediction":%s,{known}{end}')
            asked.append((place, card.threshold))
        head = _json({"model": model.tag, "window": window, "data_source": model.card.data.source})
        text = f'{{"prediction_id":"%s",{head},"risks":[{",".join(risks)}]}}'
        return _Template(text, asked)


def _json(members: dict[str, object]) -> str:
    """Return the members of an object, ready for a template."""
    return json.dumps(members, separators=(",", ":"))[1:-1].replace("%", "%%")
