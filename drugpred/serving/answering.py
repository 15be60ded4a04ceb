"""Answers without holding up the event loop, in which all requests of a worker are answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from drugpred.serving.load import MOST_SLOW, Bound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drugpred.schemas import Prediction, Profile
    from drugpred.scoring import Scorer

__all__ = ["is_slow", "score"]

_SLOW: Final = Bound(MOST_SLOW)


def is_slow(profile: Profile) -> bool:
    """Tell whether an answer takes milliseconds."""
    return "explanation" in profile.include


async def score(scorer: Scorer, profiles: Sequence[Profile]) -> list[Prediction]:
    """Return an answer for each profile, in their order.

    Slow ones are made in a thread, one after the other, so that the end of the request ends the work.

    Raises
    ------
    OverloadedError
        Too many requests with slow ones wait already.
    """
    if not any(map(is_slow, profiles)):
        return scorer.score(profiles)
    _SLOW.take(1)
    try:
        return [(await asyncio.to_thread(scorer.score, [profile]))[0] for profile in profiles]
    finally:
        _SLOW.give(1)
