"""The routes besides the prediction endpoints: documentation, page, health, model card, drift, feedback, V2."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import bentoml
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from drugpred import __version__
from drugpred.monitoring.drift import live_drift
from drugpred.schemas import Health
from drugpred.serving import openapi, web_app
from drugpred.serving.access.api_keys import Scope
from drugpred.serving.access.policy import CALLER
from drugpred.serving.feedback import FeedbackEndpoint
from drugpred.serving.responses import ERROR_HANDLERS
from drugpred.serving.v2.rest import InferenceEndpoints

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request


def create_app(service: Callable[[], Any] = bentoml.get_current_service) -> Starlette:
    """Return the ASGI application with all routes except the prediction endpoints.

    Parameters
    ----------
    service : callable, optional
        Returns the running service, see service.py.
    """
    started = time.monotonic()
    page = (files("drugpred.serving") / "index.html").read_bytes()
    documentation = Response(page, media_type="text/html", headers={"content-security-policy": web_app.POLICY})

    @cache
    def document() -> Response:  # made when it is first read, as no start needs it
        return JSONResponse(openapi.build())

    async def health(_: Request) -> Response:
        answer = Health()
        caller, model = CALLER.get(), service().scorer.model
        if caller is None or Scope.READ in caller.scopes:
            answer = Health(
                version=__version__,
                model=model.tag,
                data_source=model.card.data.source,
                uptime_seconds=round(time.monotonic() - started, 3),
            )
        return JSONResponse(answer.model_dump(exclude_none=True))

    async def model_card(_: Request) -> Response:
        return Response(service().scorer.model.card_json, media_type="application/json")

    async def drift(_: Request) -> Response:
        answer = await asyncio.to_thread(live_drift, service().scorer.model.card)
        return Response(answer.model_dump_json(), media_type="application/json")

    async def challenger(_: Request) -> Response:
        found = service().scorer.challenger
        if found is None:
            raise HTTPException(404)
        answer = await asyncio.to_thread(found.report)
        return Response(answer.model_dump_json(), media_type="application/json")

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/model", model_card),
            Route("/drift", drift),
            Route("/challenger", challenger),
            # Before BentoML's own routes, whose page reports every visit to a tracker on another host.
            Route("/docs.json", lambda _: document()),
            Route("/", lambda _: documentation),
            Route("/feedback", FeedbackEndpoint(service).post, methods=["POST"]),
            *InferenceEndpoints(service).routes,
            *web_app.routes(service),
        ],
        exception_handlers=ERROR_HANDLERS,
    )
