"""All routes but the prediction endpoints: health, the model's card, the documentation and the inference protocol."""

from __future__ import annotations

import time
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from drugpred import __version__
from drugpred.bundle import TaggedCard
from drugpred.schemas import Health
from drugpred.serving.documentation import document
from drugpred.serving.inference_routes import ERRORS, InferenceRoutes

if TYPE_CHECKING:
    from starlette.requests import Request

    from drugpred.bundle import Bundle

__all__ = ["Routes"]


class Routes(Starlette):
    """An application to mount beside the prediction endpoints; `connect` tells it what they serve."""

    def __init__(self) -> None:
        specification = JSONResponse(document())
        index = Response((files("drugpred.serving") / "index.html").read_bytes(), media_type="text/html")
        self._inference = InferenceRoutes()
        super().__init__(
            routes=[
                Route("/health", self._health),
                Route("/model", self._model),
                # These two go before BentoML's own, whose page reports every visit to a tracker of another host.
                Route("/docs.json", lambda _: specification),
                Route("/", lambda _: index),
                *self._inference.routes,
            ],
            exception_handlers=ERRORS,
        )

    def connect(self, bundle: Bundle) -> None:
        """Tell from now on of this model."""
        self._bundle = bundle
        self._inference.connect(bundle)
        self._started = time.monotonic()
        card = TaggedCard(model=bundle.tag, **dict(bundle.card)).model_dump_json()
        self._card = Response(card, media_type="application/json")

    async def _health(self, _: Request) -> Response:
        health = Health(
            status="ok",
            version=__version__,
            model=self._bundle.tag,
            data_source=self._bundle.card.data.source,
            uptime_seconds=round(time.monotonic() - self._started, 3),
        )
        return JSONResponse(health.model_dump())

    async def _model(self, _: Request) -> Response:
        return self._card
