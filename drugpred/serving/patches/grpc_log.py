"""A filter of grpcio's log: metadata that is not UTF-8, which may be an API key, and tracebacks of cancelled calls.

A traceback is dropped if a client cancelled a call just before its answer was sent.
"""

from __future__ import annotations

import logging
from typing import Final

_LOGGER: Final = "grpc._cython.cygrpc"
_PREFIXES: Final = ("Invalid encoding", "ExecuteBatchError raised")


def apply() -> None:
    """Filter grpcio's logger."""
    logging.getLogger(_LOGGER).addFilter(_is_harmless)


def _is_harmless(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_PREFIXES)
