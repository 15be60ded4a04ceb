"""Limits that more than one transport keeps to."""

from __future__ import annotations

from typing import Final

__all__ = ["REQUEST_TIMEOUT", "WRITE_TIMEOUT"]

REQUEST_TIMEOUT: Final = 10.0
"""Seconds within which a request arrives, or the first one of a connection begins to."""

WRITE_TIMEOUT: Final = 30.0
"""Seconds for which a client may leave an answer untaken."""
