"""Predictions for requests of every transport: batched, in slices, and without holding up the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from drugpred.errors import RequestError
from drugpred.limits import MAX_EXPLAINING, MAX_EXPLAINING_EACH, MAX_WAITING_PROFILES, SLICE_PROFILES
from drugpred.serving.access.policy import caller_name
from drugpred.serving.batching import AdaptiveBatcher
from drugpred.serving.capacity import SharedCapacityLimiter
from drugpred.serving.rendering import JSONRenderer
from drugpred.serving.responses import error_response
from drugpred.serving.scheduling import yield_slice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence

    from starlette.types import Receive

    from drugpred.schemas import Prediction, Profile
    from drugpred.scoring import PredictedArrays, Scorer

_Result = TypeVar("_Result")


def is_slow(profile: Profile) -> bool:
    """Return whether a prediction takes milliseconds."""
    return "explanation" in profile.include


class PredictionService:
    """Answers requests by one scorer.

    Parameters
    ----------
    scorer : Scorer
    """

    def __init__(self, scorer: Scorer) -> None:
        self.batcher: AdaptiveBatcher[Profile, PredictedArrays] = AdaptiveBatcher(
            scorer.predict_arrays, SLICE_PROFILES, MAX_WAITING_PROFILES
        )
        self._scorer = scorer
        self._renderer = JSONRenderer(scorer.model)
        self._slow = SharedCapacityLimiter(MAX_EXPLAINING, MAX_EXPLAINING_EACH)

    async def predict(self, profile: Profile, client: str | None = None) -> str:
        """Return the prediction for a profile as JSON.

        Parameters
        ----------
        profile : Profile
        client : str, optional
            Who asks, if no API key says it.

        Raises
        ------
        OverloadedError
            Too many wait already, of all callers or of this one.
        """
        if is_slow(profile):
            return (await self.explain([profile], client))[0].model_dump_json()
        (arrays,) = await self.batcher.submit([profile])
        return self._renderer.render(profile, arrays)

    async def predict_batch(self, profiles: Sequence[Profile], client: str | None = None) -> str:
        """Return the predictions for profiles as a JSON array, in their order; otherwise as `predict`."""
        if any(map(is_slow, profiles)):
            texts = [prediction.model_dump_json() for prediction in await self.explain(profiles, client)]
        else:
            texts = [
                self._renderer.render(profile, arrays)
                async for part in self.slices(profiles)
                for profile, arrays in part
            ]
        return f"[{','.join(texts)}]"

    async def slices(self, profiles: Sequence[Profile]) -> AsyncIterator[zip[tuple[Profile, PredictedArrays]]]:
        """Yield profiles with what is predicted for them, slice by slice; others are answered in between."""
        for start in range(0, len(profiles), SLICE_PROFILES):
            await yield_slice()
            part = profiles[start : start + SLICE_PROFILES]
            yield zip(part, await self.batcher.submit(part), strict=True)

    async def explain(self, profiles: Sequence[Profile], client: str | None = None) -> list[Prediction]:
        """Return the predictions for profiles of which some are slow, in their order; otherwise as `predict`.

        They are made in a thread, one after the other, so that to cancel this ends the work.
        """
        caller = caller_name() or client
        self._slow.acquire(1, caller)
        try:
            return [(await asyncio.to_thread(self._scorer.predict, [profile]))[0] for profile in profiles]
        finally:
            self._slow.release(1, caller)


async def unless_disconnected(work: Coroutine[Any, Any, _Result], receive: Receive) -> _Result:
    """Return what work returns.

    Raises
    ------
    ClientDisconnect
        The client left before that; then the work is cancelled.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def json_response(content: Awaitable[str]) -> Any:  # noqa: ANN401 - BentoML lets a response through as it is
    """Return the answer with some JSON, or with the error that it ends with."""
    try:
        return Response(await content, media_type="application/json")
    except RequestError as error:
        return error_response(error)
