"""POST /predict and /predict_batch without BentoML's way to an endpoint, which takes longer than all else they need."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from drugpred.monitoring.rejection_metrics import count_validation
from drugpred.schemas import Batch, Profile
from drugpred.serving.access.rate_limit import client_id
from drugpred.serving.batching import AdaptiveBatcher
from drugpred.serving.capacity import MAX_WAITING
from drugpred.serving.middleware.error_format import validation_error_body
from drugpred.serving.predictions import is_slow, score, unless_left
from drugpred.serving.rendering import JSONRenderer
from drugpred.serving.scheduling import SLICE_PROFILES, exclusive, yield_slice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from drugpred.scoring import Scorer

__all__ = ["FastPathMiddleware", "PredictionService"]

_JSON: Final = (b"content-type", b"application/json")


class PredictionService:
    """What answers; `connect` tells it by which scorer."""

    def __init__(self) -> None:
        self.endpoints = {"/predict": self.predict, "/predict_batch": self.predict_batch}

    def connect(self, scorer: Scorer) -> None:
        """Answer from now on by this scorer."""
        self._scorer = scorer
        self._answers = JSONRenderer(scorer)
        self.batcher = AdaptiveBatcher(self.tell, SLICE_PROFILES, MAX_WAITING)

    async def predict(self, body: bytes, scope: Scope, receive: Receive) -> str:
        """Return the answer about the profile in a request's body; raises pydantic's ValidationError."""
        profile = Profile.model_validate_json(body)
        if is_slow(profile):
            return (await self._slowly([profile], scope, receive))[0]
        return (await self.batcher.submit([profile]))[0]

    async def predict_batch(self, body: bytes, scope: Scope, receive: Receive) -> str:
        """Return the answers about the batch in a request's body; raises pydantic's ValidationError."""
        async with exclusive(len(body)):
            profiles = Batch.model_validate_json(body).profiles
            slow = any(map(is_slow, profiles))
            texts: list[str] = []
            for start in range(0, 0 if slow else len(profiles), SLICE_PROFILES):
                await yield_slice()
                texts += await self.batcher.submit(profiles[start : start + SLICE_PROFILES])
        if slow:
            texts = await self._slowly(profiles, scope, receive)
        return f"[{','.join(texts)}]"

    async def _slowly(self, profiles: Sequence[Profile], scope: Scope, receive: Receive) -> list[str]:
        """Return the answers about profiles of which some are slow, as long as the client waits for them."""
        client = scope["client"]
        caller = client_id(client[0]) if client else None
        answers = await unless_left(score(self._scorer, profiles, caller), receive)
        return [answer.model_dump_json() for answer in answers]

    async def tell(self, profiles: Sequence[Profile]) -> list[str]:
        """Return the answers about several requests' profiles, none of them slow."""
        return self._answers.texts(profiles)


class FastPathMiddleware:
    """Middleware that answers by itself, as the service's endpoints of the same names would."""

    def __init__(self, app: ASGIApp, line: PredictionService) -> None:
        self.app = app
        self.line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass a request on."""
        endpoint = self.line.endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body = (await receive())["body"].removeprefix(BOM_UTF8)  # all of it, see AccessMiddleware
        try:
            status, content = 200, (await endpoint(body, scope, receive)).encode()
        except ClientDisconnect:
            return
        except ValidationError as error:
            count_validation(error)
            status, content = 400, validation_error_body(error)
        headers = [_JSON, (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
