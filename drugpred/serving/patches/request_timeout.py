"""Removes BentoML's timer of each request.

Its TimeoutMiddleware makes a task and a timer for each request, and a request whose application raised waits for the
timer. BentoML's configuration cannot turn it off. Requests end without it: reading, waiting and writing have their own
limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bentoml._internal.server.http import traffic

from drugpred.serving.patches import replace

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def apply() -> None:
    """Make BentoML add nothing in place of its middleware."""
    replace(traffic, "TimeoutMiddleware", _without_timeout)


def _without_timeout(app: ASGIApp, timeout: float) -> ASGIApp:  # noqa: ARG001 - BentoML's signature
    return app
