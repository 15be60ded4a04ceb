"""All routes but the prediction endpoints."""

from __future__ import annotations

import asyncio
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from drugpred import __version__
from drugpred.monitoring.merged import live_drift
from drugpred.schemas import Health
from drugpred.serving import feedback
from drugpred.serving.access.api_keys import Scope
from drugpred.serving.access.policy import CALLER
from drugpred.serving.feedback import FeedbackRoutes
from drugpred.serving.middleware.security_headers import BASE_POLICY
from drugpred.serving.openapi import build
from drugpred.serving.v2 import rest
from drugpred.serving.v2.rest import InferenceRoutes
from drugpred.serving.web_app import WebApp

if TYPE_CHECKING:
    from starlette.requests import Request

    from drugpred.monitoring.feedback.service import FeedbackService
    from drugpred.scoring import Scorer
    from drugpred.serving.middleware.shutdown import GracefulShutdown

__all__ = ["App"]


_INDEX_POLICY: Final = (
    f"{BASE_POLICY}; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
)
"""What Swagger's page loads, all of it from here; it styles its elements one by one."""


class App(Starlette):
    """An application to mount beside the prediction endpoints; `connect` tells it what they serve.

    Parameters
    ----------
    draining : GracefulShutdown
        Of the worker.
    """

    def __init__(self, draining: GracefulShutdown) -> None:
        specification = JSONResponse(build())
        page = (files("drugpred.serving") / "index.html").read_bytes()
        index = Response(page, media_type="text/html", headers={"content-security-policy": _INDEX_POLICY})
        self._inference = InferenceRoutes(draining)
        self._feedback = FeedbackRoutes()
        self._page = WebApp()
        super().__init__(
            routes=[
                Route("/health", self._health),
                Route("/model", self._model),
                Route("/drift", self._drift),
                # These two go before BentoML's own, whose page reports every visit to a tracker of another host.
                Route("/docs.json", lambda _: specification),
                Route("/", lambda _: index),
                *self._inference.routes,
                *self._feedback.routes,
                *self._page.routes,
            ],
            exception_handlers={**rest.ERRORS, **feedback.ERRORS},
        )

    def connect(self, scorer: Scorer, collector: FeedbackService) -> None:
        """Tell from now on of this scorer's model, and give feedback to this collector."""
        self._bundle = model = scorer.model
        self._inference.connect(scorer)
        self._feedback.connect(collector)
        self._page.connect(model)
        self._started = time.monotonic()
        self._card = Response(model.card_json, media_type="application/json")

    async def _health(self, _: Request) -> Response:
        health = Health()
        caller = CALLER.get()
        if caller is None or Scope.READ in caller.scopes:
            health = Health(
                version=__version__,
                model=self._bundle.tag,
                data_source=self._bundle.card.data.source,
                uptime_seconds=round(time.monotonic() - self._started, 3),
            )
        return JSONResponse(health.model_dump(exclude_none=True))

    async def _drift(self, _: Request) -> Response:
        drift = await asyncio.to_thread(live_drift, self._bundle.card)
        return Response(drift.model_dump_json(), media_type="application/json")

    async def _model(self, _: Request) -> Response:
        return self._card
