"""BentoML's request metrics at a fifth of their cost, and without a series for every path that a scanner tries.

BentoML's middleware costs as much as five predictions. It counts every path separately, so a scanner fills the memory
of the Prometheus server.
"""

from __future__ import annotations

import traceback
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, Final

from bentoml import server_context
from bentoml._internal.server.http import instruments
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from typing_extensions import override

from drugpred.serving.patches import applied, replace

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OTHER: Final = "other"  # the endpoint label of all unknown paths

_REDIRECTS: Final = 300
_FAILED: Final = 500


def apply() -> None:
    """Make BentoML count with `RequestMetricsMiddleware`."""
    replace(instruments, "RunnerTrafficMetricsMiddleware", RequestMetricsMiddleware)


class RequestMetricsMiddleware(RunnerTrafficMetricsMiddleware):
    """Middleware that replaces BentoML's; the metrics are the same.

    A path is known if it was once answered with a status below 300; the paths of the service's endpoints are always
    known. A worker whose metrics cannot be defined does not start.
    """

    def __init__(self, app: ASGIApp, namespace: str, skip_paths: list[str]) -> None:
        super().__init__(app, namespace, skip_paths)
        self._unwatched = tuple(skip_paths)
        self._labels: dict[str, str | None] = {}
        self._in_progress: dict[str, Any] = {}
        self._answered: dict[tuple[str, int], tuple[Any, Any]] = {}
        self._last: Any = None

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request and time its answer."""
        if scope["type"] != "http" or scope["path"] == "/metrics":
            await self._pass(scope, receive, send)
            return
        path: str = scope["path"]
        if self._last is None:
            self._start()
        if not path.startswith(self._unwatched):
            self._last.set(time())
        begun = perf_counter()
        status = 0
        answered = False

        async def count(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body"):
                answered = True
                total, duration = self._answered.get((path, status)) or self._series(path, status)
                total.inc()
                duration.observe(perf_counter() - begun)
            await send(message)

        in_progress = self._in_progress.get(path) or self._in_progress[_OTHER]
        in_progress.inc()
        try:
            await self.app(scope, receive, count)
        except Exception:
            if not answered:
                self._series(path, _FAILED)[0].inc()
            raise
        finally:
            in_progress.dec()

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                self._start()
            except Exception:  # noqa: BLE001 - after any exception uvicorn would serve without the start-up hooks
                await receive()
                await send({"type": "lifespan.startup.failed", "message": traceback.format_exc()})
                return
        elif scope["type"] == "http" and (files := applied("prometheus_files")):
            files.restore()
        await self.app(scope, receive, send)

    def _start(self) -> None:
        self._setup()
        self._labels = {
            "service_name": server_context.bento_name,
            "service_version": server_context.bento_version,
            "runner_name": server_context.service_name,
        }
        for path in (_OTHER, *server_context.service_routes):
            self._know(path)
        self._last = self.metrics_last_request_timestamp.labels(**self._labels)

    def _know(self, path: str) -> None:
        self._in_progress[path] = self.metrics_request_in_progress.labels(endpoint=path, **self._labels)

    def _series(self, path: str, status: int) -> tuple[Any, Any]:
        """Return the counter and the histogram of a path and a status."""
        if status < _REDIRECTS and path not in self._in_progress:
            self._know(path)
        endpoint = path if path in self._in_progress else _OTHER
        key = (endpoint, status)
        if key not in self._answered:
            labels: dict[str, Any] = {"endpoint": endpoint, "http_response_code": status, **self._labels}
            self._answered[key] = (
                self.metrics_request_total.labels(**labels),
                self.metrics_request_duration.labels(**labels),
            )
        return self._answered[key]
