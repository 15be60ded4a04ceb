"""How many files and connections a worker may have open."""

from __future__ import annotations

import logging
import resource
from typing import Final

__all__ = ["raise_limit"]

logger = logging.getLogger(__name__)

_NEEDED: Final = 2048
"""For 1000 connections of HTTP, as many of gRPC, and what a worker opens itself."""


def raise_limit() -> None:
    """Let this process, and workers that it starts, open what is needed, as far as the hard limit lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _NEEDED:
        return
    most = _NEEDED if hard == resource.RLIM_INFINITY else min(hard, _NEEDED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < _NEEDED:
        logger.warning("expected a limit of %d open files (ulimit -n), found %d: connections wait", _NEEDED, most)
