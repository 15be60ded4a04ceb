"""The fast path of POST /predict and /predict_batch; BentoML's way to an endpoint takes most of a request's time."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Any, Final

import bentoml
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from drugpred.errors import InvalidArgumentError
from drugpred.monitoring.rejection_metrics import count_validation
from drugpred.schemas import Batch, Profile, faults
from drugpred.serving.access.rate_limit import client_id
from drugpred.serving.middleware.access import replay
from drugpred.serving.predictions import is_slow, unless_disconnected
from drugpred.serving.scheduling import exclusive
from drugpred.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from drugpred.serving.predictions import PredictionService

_JSON: Final = (b"content-type", b"application/json")


class ValidationMiddleware:
    """Middleware that passes on valid prediction requests only; BentoML would log the content of others.

    Parameters
    ----------
    app : ASGI application
    service : callable, optional
        Returns the service, whose `predictions` answers.
    """

    def __init__(self, app: ASGIApp, service: Callable[[], Any] = bentoml.get_current_service) -> None:
        self.app = app
        self._service = service
        self._models: dict[str, type[Profile | Batch]] = {"/predict": Profile, "/predict_batch": Batch}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or raise InvalidArgumentError."""
        model = self._models.get(scope["path"]) if scope["type"] == "http" else None
        if model is None or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body = (await receive())["body"].removeprefix(BOM_UTF8)  # the whole body, see AccessMiddleware
        try:
            await self._respond(model, body, scope, receive, send)
        except ClientDisconnect:
            return
        except ValidationError as error:
            count_validation(error)
            raise InvalidArgumentError(faults(error)) from None

    async def _respond(
        self, model: type[Profile | Batch], body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async with exclusive(len(body)):
            model.model_validate_json(body)
        headers = [header for header in scope["headers"] if header[0] != _JSON[0]]
        # JSON, with any content type.
        await self.app({**scope, "headers": [*headers, _JSON]}, replay(body, receive), send)


class FastPathMiddleware(ValidationMiddleware):
    """Middleware that answers like the endpoints of these paths, with the same `PredictionService`."""

    async def _respond(
        self, model: type[Profile | Batch], body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        predict = self._predict if model is Profile else self._predict_batch
        content = await predict(body, scope, receive)
        headers = [_JSON, (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    @property
    def _predictions(self) -> PredictionService:
        predictions: PredictionService = self._service().predictions
        return predictions

    async def _predict(self, body: bytes, scope: Scope, receive: Receive) -> bytes:
        profile = Profile.model_validate_json(body)
        if is_slow(profile):
            return await unless_disconnected(self._predictions.predict(profile, _client(scope)), receive)
        return await self._predictions.predict(profile)

    async def _predict_batch(self, body: bytes, scope: Scope, receive: Receive) -> bytes:
        async with exclusive(len(body)):
            profiles = Batch.model_validate_json(body).profiles
            if not any(map(is_slow, profiles)):
                return await self._predictions.predict_batch(profiles)
        return await unless_disconnected(self._predictions.predict_batch(profiles, _client(scope)), receive)


def fast_path(app: ASGIApp) -> ASGIApp:
    """Return the fast path, or validation alone if DRUGPRED_FAST_PATH is 0."""
    return FastPathMiddleware(app) if Settings().fast_path else ValidationMiddleware(app)


def _client(scope: Scope) -> str | None:
    return client_id(scope["client"][0]) if scope["client"] else None
