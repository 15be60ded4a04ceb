"""Answers usual requests of POST /predict for `patches.uvicorn_fast_path`, without the middleware of each request."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from pydantic import ValidationError
from starlette.middleware.cors import CORSMiddleware

from drugpred.limits import LARGE_REQUEST_BYTES, MAX_BODY_BYTES_EACH
from drugpred.schemas import Profile
from drugpred.serving import endpoints, patches, request_ids
from drugpred.serving.access.policy import extract_key
from drugpred.serving.capacity import WRITE_BACKLOG
from drugpred.serving.middleware.access import AccessMiddleware
from drugpred.serving.middleware.error_format import ErrorFormatMiddleware
from drugpred.serving.middleware.fast_path import FastPathMiddleware
from drugpred.serving.middleware.security_headers import SecurityHeadersMiddleware
from drugpred.serving.middleware.shutdown import ConnectionCloseMiddleware
from drugpred.serving.predictions import is_slow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp

    from drugpred.scoring import PredictedArrays
    from drugpred.serving.capacity import SharedCapacityLimiter
    from drugpred.serving.patches.request_metrics import BatchCounts
    from drugpred.serving.patches.uvicorn_fast_path import FastPathProtocol

_PATH = "/predict"

_MOST_HELD = MAX_BODY_BYTES_EACH - LARGE_REQUEST_BYTES

_LAYERS = (
    ConnectionCloseMiddleware,
    CORSMiddleware,
    SecurityHeadersMiddleware,
    ErrorFormatMiddleware,
    AccessMiddleware,
)
"""Middlewares whose work the handler does, or that do nothing to its requests."""


class PredictHandler:
    """Handler of valid profiles of authorized callers, see `patches.uvicorn_fast_path.Handler`.

    Parameters
    ----------
    service : object
        Has `predictions`, `access` and `worker`, see service.py.
    counts : BatchCounts
        BentoML's request metrics.
    bodies : SharedCapacityLimiter
        Bodies that the middleware holds.
    """

    target = _PATH.encode()

    def __init__(
        self,
        service: Any,  # noqa: ANN401 - BentoML decorates its class
        counts: BatchCounts,
        bodies: SharedCapacityLimiter,
    ) -> None:
        self._shutdown = service.worker.shutdown
        self._predictions = service.predictions
        self._access = service.access
        self._rule = endpoints.find(_PATH).rule
        self._counts = counts
        self._bodies = bodies
        self.end = counts.end

    @classmethod
    def of(cls, service: Any) -> Self | None:  # noqa: ANN401 - BentoML decorates its class
        """Return the handler of a service, or None if its middleware does more than the handler."""
        metrics = patches.applied("request_metrics")
        running = metrics and metrics.RequestMetricsMiddleware.running
        bodies = running and _bodies_of(running.app)
        return cls(service, metrics.BatchCounts(running, _PATH), bodies) if bodies else None

    def is_open(self) -> bool:
        """Return whether it takes requests.

        It does not during shutdown, while clients are not reading their answers, and while the middleware holds as many
        bytes of bodies as a caller may have.
        """
        return not (self._shutdown.started or WRITE_BACKLOG.transports or self._bodies.held > _MOST_HELD)

    def begin(self, body: bytes, headers: Mapping[bytes, bytes], reply: FastPathProtocol) -> bool:
        """Start to answer a request; return whether it is taken."""
        try:
            profile = Profile.model_validate_json(body)
        except ValidationError:
            return False
        batcher, access = self._predictions.batcher, self._access
        if is_slow(profile) or batcher.is_full():
            return False
        if not access.open:
            key = extract_key(headers.get(b"authorization"), headers.get(b"x-api-key"))
            if not access.admits(self._rule, key):
                return False
        self._counts.begin()
        batcher.put([(profile, partial(self._render, headers))], reply)
        return True

    def finish(self) -> None:
        """Answer the next batch now."""
        self._predictions.batcher.flush()

    def _render(self, headers: Mapping[bytes, bytes], profile: Profile, arrays: PredictedArrays) -> bytes:
        content = self._predictions.render_json(profile, arrays)
        request_id = request_ids.of_names(headers)
        return b"content-length: %d\r\nx-request-id: %b\r\n\r\n%b" % (len(content), request_id, content)


def _bodies_of(app: ASGIApp | None) -> SharedCapacityLimiter | None:
    """Return the limit of the middleware's bodies, or None if requests go through other than known middleware."""
    bodies = None
    while isinstance(app, _LAYERS) or (
        isinstance(app, OpenTelemetryMiddleware) and app.excluded_urls and app.excluded_urls.url_disabled(_PATH)
    ):
        if isinstance(app, AccessMiddleware):
            bodies = app.bodies
        app = app.app
    return bodies if isinstance(app, FastPathMiddleware) else None
