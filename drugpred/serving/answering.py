"""Answers without holding up the event loop, in which all requests of a worker are answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drugpred.schemas import Prediction, Profile
    from drugpred.scoring import Scorer

__all__ = ["is_slow", "score"]


def is_slow(profile: Profile) -> bool:
    """Tell whether an answer takes milliseconds."""
    return "explanation" in profile.include


async def score(scorer: Scorer, profiles: Sequence[Profile]) -> list[Prediction]:
    """Return an answer for each profile, in their order.

    Slow ones are made in a thread, one after the other, so that the end of the request ends the work.
    """
    if not any(map(is_slow, profiles)):
        return scorer.score(profiles)
    return [(await asyncio.to_thread(scorer.score, [profile]))[0] for profile in profiles]
