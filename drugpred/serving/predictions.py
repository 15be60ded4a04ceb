"""Predictions for requests of all transports: batched, in slices, without blocking the event loop."""

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
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from starlette.types import Receive

    from drugpred.schemas import Prediction, Profile
    from drugpred.scoring import PredictedArrays, Scorer

    Item = tuple[Profile, Callable[[Profile, PredictedArrays], Any]]

_Result = TypeVar("_Result")


def is_slow(profile: Profile) -> bool:
    """Return whether a prediction takes milliseconds."""
    return "explanation" in profile.include


class PredictionService:
    """Answers to requests, with one scorer.

    `batcher` and `render` take pairs of a profile and a function that renders its prediction, given both. The function
    may be called again if another request of the batch fails.

    Parameters
    ----------
    scorer : Scorer
    """

    def __init__(self, scorer: Scorer) -> None:
        self.batcher: AdaptiveBatcher[Item, Any] = AdaptiveBatcher(self._render, SLICE_PROFILES, MAX_WAITING_PROFILES)
        self._scorer = scorer
        self.render_json = JSONRenderer(scorer.model).render
        self._slow = SharedCapacityLimiter(MAX_EXPLAINING, MAX_EXPLAINING_EACH)

    async def predict(self, profile: Profile, client: str | None = None) -> bytes:
        """Return the prediction for a profile as JSON.

        Parameters
        ----------
        profile : Profile
        client : str, optional
            The caller, if there is no API key.

        Raises
        ------
        OverloadedError
            Too many items wait, of all callers or of this one.
        """
        if is_slow(profile):
            return (await self.explain([profile], client))[0].model_dump_json().encode()
        (content,) = await self.batcher.submit([(profile, self.render_json)])
        return bytes(content)

    async def predict_batch(self, profiles: Sequence[Profile], client: str | None = None) -> bytes:
        """Return the predictions for profiles as a JSON array, in their order; otherwise like `predict`."""
        if any(map(is_slow, profiles)):
            contents = [prediction.model_dump_json().encode() for prediction in await self.explain(profiles, client)]
        else:
            contents = await self.render([(profile, self.render_json) for profile in profiles])
        # Joined once: the content may have megabytes.
        contents[0] = b"[" + contents[0]
        contents[-1] += b"]"
        return b",".join(contents)

    async def render(self, items: Sequence[Item]) -> list[Any]:
        """Return the results of each item's function, made slice by slice; other requests are answered in between."""
        results: list[Any] = []
        for start in range(0, len(items), SLICE_PROFILES):
            await yield_slice()
            results += await self.batcher.submit(items[start : start + SLICE_PROFILES])
        return results

    def _render(self, items: Sequence[Item]) -> list[Any]:
        # Within the batch: rendering all in a row takes less time than each in its own task.
        arrays = self._scorer.predict_arrays([profile for profile, _ in items])
        return [render(profile, each) for (profile, render), each in zip(items, arrays, strict=True)]

    async def explain(self, profiles: Sequence[Profile], client: str | None = None) -> list[Prediction]:
        """Return the predictions for profiles with slow ones among them, in their order; otherwise like `predict`.

        They are made one after the other in a thread, so cancelling this ends the work.
        """
        caller = caller_name() or client
        self._slow.acquire(1, caller)
        try:
            return [(await asyncio.to_thread(self._scorer.predict, [profile]))[0] for profile in profiles]
        finally:
            self._slow.release(1, caller)


async def unless_disconnected(work: Coroutine[Any, Any, _Result], receive: Receive) -> _Result:
    """Return the result of some work, cancelled if the client disconnects.

    Raises
    ------
    ClientDisconnect
        The client disconnected first.
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


async def json_response(content: Awaitable[bytes]) -> Any:  # noqa: ANN401 - BentoML passes a response through
    """Return a response with JSON, or with the error that it raised."""
    try:
        return Response(await content, media_type="application/json")
    except RequestError as error:
        return error_response(error)
