"""The project's predictor, for the peers that serve it."""

from __future__ import annotations

from drugpred.scoring import Scorer
from drugpred.settings import Settings


def load() -> Scorer:
    """Return the scorer of the stored model."""
    return Scorer.from_settings(Settings())
