"""Answers without holding up the event loop, in which all requests of a worker are answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from starlette.requests import ClientDisconnect

from drugpred.serving.access.policy import caller_name
from drugpred.serving.capacity import MAX_SLOW, MAX_SLOW_EACH, SharedCapacityLimiter

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from starlette.types import Receive

    from drugpred.schemas import Prediction, Profile
    from drugpred.scoring import Scorer

__all__ = ["is_slow", "score", "unless_left"]

_SLOW: Final = SharedCapacityLimiter(MAX_SLOW, MAX_SLOW_EACH)

_Result = TypeVar("_Result")


def is_slow(profile: Profile) -> bool:
    """Tell whether an answer takes milliseconds."""
    return "explanation" in profile.include


async def score(scorer: Scorer, profiles: Sequence[Profile], caller: str | None = None) -> list[Prediction]:
    """Return an answer for each profile, in their order.

    Slow ones are made in a thread, one after the other, so that the end of the request ends the work.

    Parameters
    ----------
    scorer : Scorer
    profiles : sequence of Profile
    caller : str, optional
        Who asks, if admission does not say it.

    Raises
    ------
    OverloadedError
        Too many requests with slow ones wait already, in all or of this caller.
    """
    if not any(map(is_slow, profiles)):
        return scorer.predict(profiles)
    caller = caller_name() or caller
    _SLOW.take(1, caller)
    try:
        return [(await asyncio.to_thread(scorer.predict, [profile]))[0] for profile in profiles]
    finally:
        _SLOW.give(1, caller)


async def unless_left(work: Coroutine[Any, Any, _Result], receive: Receive) -> _Result:
    """Return what work returns.

    Raises
    ------
    ClientDisconnect
        The client left before that; then the work is cancelled.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
