"""How a worker ends, in part: the end-to-end tests end real ones."""

import asyncio
import os
import signal
from types import SimpleNamespace

import httpx
import pytest
from bentoml import server_context
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from drugpred.serving import patches
from drugpred.serving.middleware import shutdown as draining_module
from drugpred.serving.middleware.shutdown import ConnectionCloseMiddleware, GracefulShutdown


@pytest.mark.parametrize("begun", [False, True])
def test_answers_end_their_connections_while_the_worker_drains(begun):
    draining = GracefulShutdown()
    draining.started = begun
    service = SimpleNamespace(worker=SimpleNamespace(shutdown=draining))
    hello = Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))])
    app = ConnectionCloseMiddleware(hello, lambda: service)

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get("/")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.text) == (200, "hello")
    assert answer.headers.get("connection") == ("close" if begun else None)


@pytest.mark.parametrize("patched", [True, False])
def test_sigterm_is_announced_before_it_brings_the_end(monkeypatch, patched):
    monkeypatch.setattr(draining_module, "_NOTICE", 0.1)
    happened = []

    class Running:
        @staticmethod
        def close_listeners():
            happened.append("take no more")

    patch = {"uvicorn_server": SimpleNamespace(Server=SimpleNamespace(running=Running))}
    monkeypatch.setattr(patches, "_applied", patch if patched else {})

    async def announce():
        happened.append("announce")

    async def ask():
        draining = GracefulShutdown()
        draining.listen(announce)
        assert not draining.started
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(30):
            while "end" not in happened:
                assert draining.started
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)

    before = signal.signal(signal.SIGTERM, lambda *_: happened.append("end"))
    try:
        asyncio.run(ask())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert happened == ["announce", *(["take no more"] if patched else []), "end"]


@pytest.mark.parametrize("worker", [None, 1])
def test_without_a_handler_sigterm_stays_unhandled_and_is_logged(monkeypatch, caplog, worker):
    monkeypatch.setattr(server_context, "worker_index", worker)
    before = signal.getsignal(signal.SIGTERM)
    GracefulShutdown().listen(lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before
    assert len(caplog.records) == (0 if worker is None else 1)
