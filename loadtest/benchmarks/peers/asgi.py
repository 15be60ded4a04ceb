"""A uvicorn worker with uvloop and httptools, without an access log, for the peers that are ASGI applications."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def serve(app: ASGIApp) -> None:
    """Serve an application on the port in the command line."""
    port = int(sys.argv[1])
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
