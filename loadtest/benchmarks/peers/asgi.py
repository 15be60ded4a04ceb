"""A uvicorn worker with uvloop and httptools, without an access log, for the peers with FastAPI."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI


def serve(app: FastAPI) -> None:
    """Serve an application on the port in the command line."""
    port = int(sys.argv[1])
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
