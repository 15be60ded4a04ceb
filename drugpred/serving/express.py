"""POST /predict without BentoML's way to an endpoint, which takes longer than all else that a request needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from drugpred.monitoring.refused import count_validation
from drugpred.schemas import Profile
from drugpred.serving.answering import is_slow, score
from drugpred.serving.errors import malformed
from drugpred.serving.json_answers import JSONAnswers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from drugpred.scoring import Scorer

__all__ = ["Express", "Line"]

_JSON: Final = (b"content-type", b"application/json")


class Line:
    """What answers; `connect` tells it by which scorer."""

    def connect(self, scorer: Scorer) -> None:
        """Answer from now on by this scorer."""
        self._scorer = scorer
        self._answers = JSONAnswers(scorer)

    async def answer(self, body: bytes) -> tuple[int, bytes]:
        """Return the status and the content that a request's body is answered with."""
        try:
            profile = Profile.model_validate_json(body)
        except ValidationError as error:
            count_validation(error)
            return 400, malformed(error)
        if is_slow(profile):
            return 200, (await score(self._scorer, [profile]))[0].model_dump_json().encode()
        return 200, self._answers.answer(profile)


class Express:
    """Middleware that answers POST /predict by itself, as the service's endpoint of that name would."""

    def __init__(self, app: ASGIApp, line: Line) -> None:
        self.app = app
        self.line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass a request on."""
        if scope["type"] != "http" or scope["path"] != "/predict" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status, content = await self.line.answer(body)
        headers = [_JSON, (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
