"""Counts and times calls, for /metrics."""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import Counter, Histogram

__all__ = ["observe"]

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_REQUESTS: Final = Counter("drugpred_grpc_requests", "gRPC calls that ended.", ["method", "code"])
_DURATION: Final = Histogram(
    "drugpred_grpc_request_duration_seconds", "How long gRPC calls took.", ["method"], buckets=_BUCKETS
)


def observe(method: str, code: str, seconds: float) -> None:
    """Count a call that ended."""
    requests, duration = _children(method, code)
    requests.inc()
    duration.observe(seconds)


@cache
def _children(method: str, code: str) -> tuple[Counter, Histogram]:
    """Return the series of a method, looked up once."""
    return _REQUESTS.labels(method, code), _DURATION.labels(method)
