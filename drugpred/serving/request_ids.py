"""The id of each request, with which an answer is found in the log and in a trace.

It is the request's `x-request-id` if that is 1 to 128 visible ASCII characters, else the trace id of its `traceparent`,
else a new one.
"""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME: Final = "x-request-id"
"""Of the header, and of gRPC's metadata."""

current: Final[ContextVar[bytes]] = ContextVar("request_id")
"""Of the HTTP request that is being answered. Calls of gRPC have none here: one thread answers many in turns."""

_HEADER: Final = NAME.encode()
_is_id: Final = re.compile(rb"[!-~]{1,128}").fullmatch
_traceparent: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def of_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the id of an HTTP request.

    Parameters
    ----------
    headers : iterable of tuple of bytes
        Their names are in lower case.
    """
    return of_names(dict(headers))


def of_names(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the id of an HTTP request, from its headers by name."""
    return _choose(headers.get(_HEADER), headers.get(b"traceparent"))


def of_metadata(metadata: Iterable[tuple[str, Any]]) -> str:
    """Return the id of a gRPC call.

    Parameters
    ----------
    metadata : iterable of tuple
        The call's.
    """
    values = dict(metadata)
    given, parent = values.get(NAME), values.get("traceparent")
    return _choose(given and given.encode(), parent and parent.encode()).decode()


def _choose(given: bytes | None, parent: bytes | None) -> bytes:
    if given and _is_id(given):
        return given
    if parent and (trace := _traceparent.fullmatch(parent)):
        return trace[1]
    return os.urandom(16).hex().encode()
