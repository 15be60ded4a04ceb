"""What of BentoML is replaced by something of our own, all of it here.

- RunnerTrafficMetricsMiddleware, which counts requests, by `drugpred.serving.traffic.TrafficMetrics`: it costs as much
  as five predictions, and counts every path apart, so that a scanner fills the memory of whoever collects the metrics.
- TimeoutMiddleware by nothing: it costs a task and a timer for each request, and what failed waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bentoml._internal.server.http import instruments, traffic

from drugpred.errors import ConfigurationError
from drugpred.serving.traffic import TrafficMetrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["install"]


def install() -> None:
    """Replace it, for the services that are started from now on in this process.

    Raises
    ------
    ConfigurationError
        BentoML no longer has what is to be replaced.
    """
    for module, name, replacement in (
        (instruments, "RunnerTrafficMetricsMiddleware", TrafficMetrics),
        (traffic, "TimeoutMiddleware", _without_timeout),
    ):
        if not hasattr(module, name):
            raise ConfigurationError(f"expected a BentoML 1.4 whose {module.__name__} has a {name}")
        setattr(module, name, replacement)


def _without_timeout(app: ASGIApp, timeout: float) -> ASGIApp:  # noqa: ARG001 - BentoML's signature
    return app
