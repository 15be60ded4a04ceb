"""BentoML's request metrics at a fifth of their cost, and without a series for every path that a scanner tries.

BentoML's middleware costs as much as five predictions. It counts every path separately, so a scanner fills the memory
of the Prometheus server.
"""

from __future__ import annotations

import asyncio
import traceback
from bisect import bisect_left
from collections import Counter
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from bentoml import server_context
from bentoml._internal.server.http import instruments
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from typing_extensions import override

from drugpred.serving.patches import applied, replace

if TYPE_CHECKING:
    from prometheus_client import Histogram
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OTHER: Final = "other"  # the endpoint label of all unknown paths

_REDIRECTS: Final = 300
_OK: Final = 200
_FAILED: Final = 500


def apply() -> None:
    """Make BentoML count with `RequestMetricsMiddleware`."""
    replace(instruments, "RunnerTrafficMetricsMiddleware", RequestMetricsMiddleware)


class RequestMetricsMiddleware(RunnerTrafficMetricsMiddleware):
    """Middleware that replaces BentoML's; the metrics are the same.

    A path is known if it was once answered with a status below 300; the paths of the service's endpoints are always
    known. A worker whose metrics cannot be defined does not start.
    """

    running: ClassVar[RequestMetricsMiddleware | None] = None
    """The middleware of the application that was started last."""

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
        RequestMetricsMiddleware.running = self

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


class BatchCounts:
    """Counts requests of one path that are answered with 200 outside of the middleware, as many as there are at once.

    Parameters
    ----------
    middleware : RequestMetricsMiddleware
        A started one.
    path : str
    """

    def __init__(self, middleware: RequestMetricsMiddleware, path: str) -> None:
        self._total, self._duration = middleware._series(path, _OK)
        self._in_progress = middleware._in_progress[path]
        self._last = middleware._last
        self._begun = self._shown = 0
        self._seconds: list[float] = []
        self._scheduled = False

    def begin(self) -> None:
        """Count a request as in progress, in an event loop."""
        self._begun += 1
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._show)

    def end(self, seconds: float | None) -> None:
        """Count an answer, which took some seconds, or with None a request that the middleware counts."""
        self._begun -= 1
        if seconds is not None:
            self._seconds.append(seconds)

    def _show(self) -> None:
        self._last.set(time())
        self._shown = self._begun
        self._in_progress.inc(self._shown)
        asyncio.get_running_loop().call_soon(self._count)  # after the batch

    def _count(self) -> None:
        self._in_progress.dec(self._shown)
        seconds, self._seconds = self._seconds, []
        if seconds:
            self._total.inc(len(seconds))
            _observe(self._duration, seconds)
        self._scheduled = bool(self._begun)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._show)


def _observe(histogram: Histogram, amounts: list[float]) -> None:
    """Observe amounts like Histogram.observe, which writes twice for each."""
    histogram._sum.inc(sum(amounts))
    for bucket, n in Counter(bisect_left(histogram._upper_bounds, amount) for amount in amounts).items():
        histogram._buckets[bucket].inc(n)
