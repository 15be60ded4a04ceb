"""POST /predict and /predict_batch without BentoML's way to an endpoint, which takes longer than all else they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from drugpred.monitoring.refused import count_validation
from drugpred.schemas import MOST_PROFILES, Batch, Profile
from drugpred.serving.answering import is_slow, score
from drugpred.serving.batching import Dispatcher
from drugpred.serving.errors import malformed
from drugpred.serving.json_answers import JSONAnswers
from drugpred.serving.load import MOST_WAITING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from drugpred.scoring import Scorer

__all__ = ["Express", "Line"]

_JSON: Final = (b"content-type", b"application/json")


class Line:
    """What answers; `connect` tells it by which scorer."""

    def __init__(self) -> None:
        self.endpoints = {"/predict": self.predict, "/predict_batch": self.predict_batch}

    def connect(self, scorer: Scorer) -> None:
        """Answer from now on by this scorer."""
        self._scorer = scorer
        self._answers = JSONAnswers(scorer)
        self.dispatcher = Dispatcher(self.tell, MOST_PROFILES, MOST_WAITING)

    async def predict(self, body: bytes) -> str:
        """Return the answer about the profile in a request's body; raises pydantic's ValidationError."""
        profile = Profile.model_validate_json(body)
        if is_slow(profile):
            (answer,) = await score(self._scorer, [profile])
            return answer.model_dump_json()
        return (await self.dispatcher.ask([profile]))[0]

    async def predict_batch(self, body: bytes) -> str:
        """Return the answers about the batch in a request's body; raises pydantic's ValidationError."""
        profiles = Batch.model_validate_json(body).profiles
        if any(map(is_slow, profiles)):
            texts: Sequence[str] = [answer.model_dump_json() for answer in await score(self._scorer, profiles)]
        else:
            texts = await self.dispatcher.ask(profiles)
        return f"[{','.join(texts)}]"

    async def tell(self, profiles: Sequence[Profile]) -> list[str]:
        """Return the answers about several requests' profiles, none of them slow."""
        return self._answers.texts(profiles)


class Express:
    """Middleware that answers by itself, as the service's endpoints of the same names would."""

    def __init__(self, app: ASGIApp, line: Line) -> None:
        self.app = app
        self.line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass a request on."""
        endpoint = self.line.endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body = (await receive())["body"]  # all of it, see Entrance
        try:
            status, content = 200, (await endpoint(body)).encode()
        except ValidationError as error:
            count_validation(error)
            status, content = 400, malformed(error)
        headers = [_JSON, (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
