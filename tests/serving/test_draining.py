"""How a worker ends, in part: the end-to-end tests end real ones."""

import asyncio
import signal

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from drugpred.serving.draining import Closing, Draining


@pytest.mark.parametrize("begun", [False, True])
def test_answers_end_their_connections_while_the_worker_drains(begun):
    draining = Draining()
    draining.begun = begun
    app = Closing(Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))]), draining)

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get("/")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.text) == (200, "hello")
    assert answer.headers.get("connection") == ("close" if begun else None)


def test_outside_of_a_worker_signals_stay_as_they_are():
    before = signal.getsignal(signal.SIGTERM)
    Draining().listen(lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before
