"""What of BentoML and uvicorn is replaced by something of our own, all of it here.

- RunnerTrafficMetricsMiddleware, which counts requests, by `request_metrics.RequestMetricsMiddleware`: it costs as much
  as five predictions, and counts every path apart, so that a scanner fills the memory of whoever collects the metrics.
- TimeoutMiddleware by nothing: it costs a task and a timer for each request, and what failed waits for it.
- circus' arbiter by `circus_arbiter.Supervisor`: it looks for workers that ended every 10 seconds only, restarts
  without end one that always fails, and logs a traceback at each look while it reloads them. In a container,
  where BentoML replaces no worker, they are replaced too.
- uvicorn's HTTP protocol by `uvicorn_limits.Protocol`: it waits for ever and takes headers of any length.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

try:
    from bentoml import serving
    from bentoml._internal.utils import circus
except TypeError:  # circus formats its docstrings
    raise SystemExit(
        "error: expected Python without -OO (PYTHONOPTIMIZE=2), with which circus cannot be used"
    ) from None
from bentoml._internal.server.http import instruments, traffic
from uvicorn.protocols.http import auto

from drugpred.errors import ConfigurationError
from drugpred.serving.patches.circus_arbiter import ServingAddress, Supervisor
from drugpred.serving.patches.request_metrics import RequestMetricsMiddleware
from drugpred.serving.patches.uvicorn_limits import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp

__all__ = ["install"]


def _nothing(_: ServingAddress) -> dict[str, str]:
    return {}


def install(prepare: Callable[[ServingAddress], Mapping[str, str]] = _nothing) -> None:
    """Replace it, for the services that are started from now on in this process.

    Parameters
    ----------
    prepare : callable, optional
        What is done before workers start, as `Supervisor` describes it.

    Raises
    ------
    ConfigurationError
        BentoML no longer has what is to be replaced.
    """
    for module, name, replacement in (
        (instruments, "RunnerTrafficMetricsMiddleware", RequestMetricsMiddleware),
        (traffic, "TimeoutMiddleware", _without_timeout),
        (circus, "Arbiter", partial(Supervisor, prepare)),
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
