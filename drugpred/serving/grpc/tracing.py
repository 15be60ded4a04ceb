"""Spans of calls, where BentoML's tracing is on.

They are named and have attributes by the semantic conventions of OpenTelemetry 1.39. Not by its interceptor: that
records the messages of exceptions, which may hold a person's values, and makes the span the current one, while one
thread answers many calls in turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grpc import StatusCode
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace import StatusCode as SpanStatus

from drugpred.serving import request_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.trace import Span

_FAULTS: Final = {
    StatusCode.UNKNOWN,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.UNIMPLEMENTED,
    StatusCode.INTERNAL,
    StatusCode.UNAVAILABLE,
    StatusCode.DATA_LOSS,
}
"""Codes that are errors of a server."""


def tracer_of(method: str) -> Tracer | None:
    """Return the tracer of a method's calls, None if BentoML's `tracing.excluded_urls` matches the method.

    Parameters
    ----------
    method : str
        As `/SERVICE/METHOD`.
    """
    from bentoml._internal.configuration.containers import BentoMLContainer  # only it knows the settings

    if BentoMLContainer.tracing_excluded_urls.get().url_disabled(method):
        return None
    tracer: Tracer = BentoMLContainer.tracer_provider.get().get_tracer(__name__)
    return tracer


def start_span(tracer: Tracer, name: str, metadata: Iterable[tuple[str, Any]], address: str, request_id: str) -> Span:
    """Start the span of a call, below that of its `traceparent`; `end_span` ends it.

    Parameters
    ----------
    tracer : Tracer
    name : str
        Of the method, as `SERVICE/METHOD`.
    metadata : iterable of tuple
        The call's.
    address : str
        The client's.
    request_id : str
    """
    attributes = {
        "rpc.system.name": "grpc",
        "rpc.method": name,
        "client.address": address,
        f"rpc.response.metadata.{request_ids.NAME}": [request_id],
    }
    parent = propagate.extract(dict(metadata))
    return tracer.start_span(name, context=parent, kind=SpanKind.SERVER, attributes=attributes)


def end_span(span: Span, code: StatusCode) -> None:
    """End the span of a call."""
    span.set_attribute("rpc.response.status_code", code.name)
    if code in _FAULTS:
        span.set_attribute("error.type", code.name)
        span.set_status(SpanStatus.ERROR)
    span.end()
