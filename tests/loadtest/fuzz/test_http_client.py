"""Exchanges of bytes with a server."""

import asyncio
import socket
import threading
from contextlib import suppress

import pytest

from loadtest.fuzz import clock, frames, http_client, inputs, oracle
from tests.loadtest.fuzz.conftest import FAMILIES, RIGHT


@pytest.fixture
def answering():
    """Return a function that makes servers of one kind of answer, each with its address and written bytes."""

    def make(answer):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            with listener:
                connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                connection.recv(2**20)
                with suppress(OSError):
                    connection.sendall(answer)
                    while connection.recv(2**20):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()

    return make


def outcome(address, sent):
    async def exchange():
        measured = clock.Clock()
        measuring = asyncio.create_task(measured.run())
        found = await http_client.Connection(inputs.Service(address, address), inputs.Port.HTTP, measured).exchange(
            sent
        )
        measuring.cancel()
        return found

    return asyncio.run(exchange())


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"


@pytest.mark.parametrize(("answers", "fault"), [(1, None), (2, "2 answers to 1 requests")])
def test_a_request_that_is_answered_twice_is_a_fault(answering, answers, fault):
    sent = inputs.generate(FAMILIES["HTTP, upgrades"], 1, 0)._replace(requests=1)
    assert b"upgrade: " in sent.data
    assert outcome(answering(OK * answers), sent).fault == fault


def test_an_answer_is_left_unread(answering):
    sent = inputs.generate(FAMILIES["HTTP, unread answers"], 1, 0)
    assert outcome(answering(OK + bytes(2**26)), sent) == ("unread", None)


def frames_of(*sent):
    """Return the outcome of a call if the server sends these frames, then nothing."""

    async def read():
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(frames.frame(*each) for each in sent))
        return await asyncio.wait_for(http_client._end_of_call(reader, RIGHT), 0.2)

    return asyncio.run(read())


def test_the_end_of_a_call_is_trailers_or_a_reset():
    settings = (4, 0, 0, b"")
    assert frames_of(settings, (1, 5, 1, b"trailers")) == oracle.Outcome("headers")
    assert frames_of(settings, (3, 0, 1, bytes(4))) == oracle.Outcome("stream reset")
    assert frames_of((1, 5, 1, RIGHT.encode())).fault
    with pytest.raises(TimeoutError):
        frames_of(settings, (1, 4, 1, b"headers"))
