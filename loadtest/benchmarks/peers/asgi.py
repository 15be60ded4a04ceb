"""One uvicorn worker on uvloop and httptools, without an access log, for the peers behind FastAPI."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI


def serve(app: FastAPI) -> None:
    """Serve an application on the port that the command line names."""
    port = int(sys.argv[1])
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
