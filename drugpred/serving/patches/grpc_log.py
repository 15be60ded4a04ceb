"""Keeps lines of grpcio out of the log that would hold metadata that is not UTF-8, among which an API key may be.

And those with a traceback where a client gave up just when its answer was to be sent.
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
