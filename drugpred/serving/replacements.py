"""What of BentoML and uvicorn is replaced by something of our own, all of it here.

- RunnerTrafficMetricsMiddleware, which counts requests, by `drugpred.serving.traffic.TrafficMetrics`: it costs as much
  as five predictions, and counts every path apart, so that a scanner fills the memory of whoever collects the metrics.
- TimeoutMiddleware by nothing: it costs a task and a timer for each request, and what failed waits for it.
- The supervisor's look for workers that ended, every 10 seconds, by one every second; and in a container, where it
  replaces none, it does so too.
- uvicorn's HTTP protocol by `drugpred.serving.protocol.Protocol`: it waits for ever and takes headers of any length.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from bentoml import serving
from bentoml._internal.server.http import instruments, traffic
from bentoml._internal.utils import circus
from uvicorn.protocols.http import auto

from drugpred.errors import ConfigurationError
from drugpred.serving.protocol import Protocol
from drugpred.serving.traffic import TrafficMetrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["install"]

_ARBITER: Final = circus.create_standalone_arbiter
_LOOK_SECONDS: Final = 1.0


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
        (circus, "create_standalone_arbiter", partial(_ARBITER, check_delay=_LOOK_SECONDS)),
        (serving, "running_inside_container", _outside),
        (auto, "AutoHTTPProtocol", Protocol),
    ):
        if not hasattr(module, name):
            raise ConfigurationError(f"expected a BentoML 1.4 whose {module.__name__} has a {name}")
        setattr(module, name, replacement)


def _without_timeout(app: ASGIApp, timeout: float) -> ASGIApp:  # noqa: ARG001 - BentoML's signature
    return app


def _outside() -> bool:
    return False
