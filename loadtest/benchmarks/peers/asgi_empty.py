"""The limit: an application that reads a request and writes one answer, made at the start.

usage: python -m loadtest.benchmarks.peers.asgi_empty PORT
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drugpred.schemas import EXAMPLE, Profile
from loadtest.benchmarks.peers import asgi, scorer

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

CONTENT = scorer.load().predict([Profile.model_validate(EXAMPLE)])[0].model_dump_json().encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(CONTENT))]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request."""
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": CONTENT})


if __name__ == "__main__":
    asgi.serve(app)
