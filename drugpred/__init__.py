"""Calibrated probabilities of drug use from personality scores and demographics, served by BentoML.

What `load`, `load_data` and the others need is imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "Model": "drugpred.model",
    "load": "drugpred.model",
    "load_pipeline": "drugpred.training.stored_pipeline",
    "load_data": "drugpred.data.labelled",
    "simulate": "drugpred.data.labelled",
}
"""Where names come from. The types are in `__init__.pyi`, as a contract on imports would take them for imports."""


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
