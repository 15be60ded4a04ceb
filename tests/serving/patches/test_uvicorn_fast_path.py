"""Requests that are answered within the protocol, and those that are passed on, on real sockets of a real uvicorn."""

import asyncio
import socket
import threading
import time

import pytest
import uvicorn

from drugpred.serving import patches
from drugpred.serving.capacity import WRITE_BACKLOG
from drugpred.serving.patches import uvicorn_limits
from drugpred.serving.patches.uvicorn_fast_path import FastPathProtocol
from tests.harness import wait
from tests.harness.sockets import read_bodies

BODY = b"hello"
HEAD = b"POST /double HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n"
REQUEST = HEAD % 5 + b"\r\n" + BODY
REFUSED = HEAD % 5 + b"\r\nwrong"


class Doubling:
    """A handler that answers with the body twice, once a pass of the event loop has ended."""

    target = b"/double"

    def __init__(self):
        self.open, self.fails, self.late = True, False, False
        self.waiting, self.ended = [], []

    def is_open(self):
        return self.open

    def begin(self, body, headers, reply):
        if body == b"wrong":
            return False
        self.waiting.append((body, reply))
        if not self.late:
            asyncio.get_running_loop().call_soon(self.finish)
        return True

    def finish(self):
        waiting, self.waiting = self.waiting, []
        for body, reply in waiting:
            if self.fails:
                reply.set_exception(ArithmeticError())
            else:
                reply.set_result([b"content-length: %d\r\n\r\n%b" % (2 * len(body), 2 * body)])

    def end(self, seconds):
        self.ended.append(seconds)


async def application(scope, receive, send):
    """Answer with the length of the body."""
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
    answer = b"%d" % len(body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


@pytest.fixture
def handler():
    handler = FastPathProtocol.handler = Doubling()
    yield handler
    FastPathProtocol.handler = None


@pytest.fixture
def running():
    FastPathProtocol._sweeping = False  # the loop of an earlier server has ended
    config = uvicorn.Config(application, http=FastPathProtocol, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield server, listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def connection(running, handler):
    with socket.create_connection(("127.0.0.1", running[1]), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def bodies(connection, n):
    """Return the bodies of the next answers, which the protocol itself writes."""
    return read_bodies(connection, n, b"HTTP/1.1 200 OK\r\ndate: ")


@pytest.mark.parametrize("pieces", [[REQUEST], [REQUEST[:-5], BODY], [REQUEST[i : i + 1] for i in range(len(REQUEST))]])
def test_a_usual_request_is_answered_by_the_handler(connection, handler, pieces):
    for _ in range(3):
        for piece in pieces:
            connection.sendall(piece)
        assert bodies(connection, 1) == [b"hellohello"]
    assert len(handler.ended) == 3
    assert all(0 < seconds < 5 for seconds in handler.ended)


def test_an_answer_has_uvicorns_headers_and_the_type_of_its_content(connection):
    connection.sendall(REQUEST)
    lines = connection.recv(1000).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines[1].startswith(b"date: ")
    assert lines[2:] == [b"server: uvicorn", b"content-type: application/json", b"content-length: 10"]


UNUSUAL = {
    "another path": REQUEST.replace(b"/double", b"/"),
    "a query": REQUEST.replace(b"/double", b"/double?a=b"),
    "another method": REQUEST.replace(b"POST", b"PUT"),
    "without a host": REQUEST.replace(b"host: test\r\n", b""),
    "a header twice": REQUEST.replace(b"host", b"host: test\r\nhost"),
    "another encoding": REQUEST.replace(b"host", b"Content-Encoding: gzip\r\nhost"),
    "of a page": REQUEST.replace(b"host", b"origin: http://test\r\nhost"),
    "chunks": HEAD.replace(b"content-length: %d", b"transfer-encoding: chunked") + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "not taken": REFUSED,
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_any_other_request_is_passed_on(connection, handler, kind):
    connection.sendall(UNUSUAL[kind])
    assert bodies(connection, 1) == [b"5"]
    connection.sendall(REQUEST)
    assert bodies(connection, 1) == [b"hellohello"]
    assert len(handler.ended) == 1


def test_an_offer_to_upgrade_is_ignored(connection):
    connection.sendall(REQUEST.replace(b"host", b"connection: upgrade\r\nupgrade: h2c\r\nhost") + REQUEST)
    assert bodies(connection, 2) == [b"hellohello"] * 2


@pytest.mark.parametrize("lines", [b"connection: close\r\n", b""])
def test_a_connection_that_must_close_is_passed_on(connection, lines):
    request = REQUEST if lines else REQUEST.replace(b"1.1", b"1.0")
    connection.sendall(request.replace(b"host", lines + b"host"))
    received = b""
    while part := connection.recv(1000):
        received += part
    assert b"connection: close" in received
    assert received.endswith(b"\r\n\r\n5")


def test_a_long_body_is_passed_on(connection, handler):
    connection.sendall(HEAD % 100_000 + b"\r\n" + b"x" * 100_000)
    assert bodies(connection, 1) == [b"100000"]
    assert handler.ended == []


def test_a_client_that_waits_to_send_its_body_is_asked_for_it(connection):
    connection.sendall(HEAD % 5 + b"expect: 100-continue\r\n\r\n")
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(BODY)
    assert bodies(connection, 1) == [b"5"]


def test_pipelined_requests_are_answered_in_their_order(connection, handler):
    other = UNUSUAL["another path"].replace(b"5", b"6").replace(BODY, b"hello!")
    connection.sendall(REQUEST + REQUEST + other + REQUEST + REFUSED + other + REQUEST)
    found = bodies(connection, 7)
    # Behind a request that was passed on, the others are too.
    assert found[:3] == [b"hellohello", b"hellohello", b"6"]
    assert found[3] in {b"5", b"hellohello"}
    assert [len(each) for each in found[4:6]] == [1, 1]
    assert found[4:6] == [b"5", b"6"]


def test_while_the_handler_is_closed_requests_are_passed_on(connection, handler):
    handler.open = False
    connection.sendall(REQUEST)
    assert bodies(connection, 1) == [b"5"]


def test_a_request_whose_answer_fails_is_passed_on_and_not_counted_here(connection, handler):
    handler.fails = True
    connection.sendall(REQUEST)
    assert bodies(connection, 1) == [b"5"]
    assert handler.ended == [None]


def test_while_answers_are_not_read_others_count_towards_the_bound(connection, handler, monkeypatch):
    handler.late = True
    connection.sendall(REQUEST)
    wait(lambda: handler.waiting, "the request")
    monkeypatch.setattr(WRITE_BACKLOG, "transports", {socket})  # any
    (connected,) = FastPathProtocol._connected
    connected.loop.call_soon_threadsafe(handler.finish)
    assert bodies(connection, 1) == [b"5"]
    assert handler.ended == [None]


def test_the_answer_of_a_client_that_left_is_dropped(running, connection, handler):
    handler.late = True
    connection.sendall(REQUEST)
    wait(lambda: handler.waiting, "the request")
    (connected,) = FastPathProtocol._connected
    connection.close()
    wait(lambda: not FastPathProtocol._connected, "the connection to end")
    connected.loop.call_soon_threadsafe(handler.finish)
    wait(lambda: handler.ended, "the end")
    assert handler.ended[0] > 0


def test_the_end_of_the_server_waits_for_answers(running, connection, handler):
    handler.late = True
    connection.sendall(REQUEST)
    wait(lambda: handler.waiting, "the request")
    running[0].should_exit = True
    assert bodies(connection, 1) == [b"hellohello"]
    assert connection.recv(1) == b""


def test_the_end_of_the_server_waits_for_the_body_of_a_request(running, connection, handler):
    connection.sendall(REQUEST[:-5])
    time.sleep(0.1)
    running[0].should_exit = True
    time.sleep(0.3)
    connection.sendall(BODY)
    received = b""
    while part := connection.recv(1000):
        received += part
    assert b"connection: close" in received
    assert received.endswith(b"\r\n\r\n5")


def test_a_body_that_does_not_arrive_in_time_ends_the_connection(connection, monkeypatch):
    monkeypatch.setattr(uvicorn_limits, "REQUEST_TIMEOUT", 0.1)
    connection.sendall(REQUEST[:-2])
    assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_garbage_behind_a_request_ends_the_connection_after_its_answer(connection, handler, caplog):
    connection.sendall(REQUEST + b"GET HTTP/1.1\r\n\r\n")
    received = b""
    while part := connection.recv(1000):
        received += part
    assert b"hellohello" in received
    assert "Traceback" not in caplog.text


def test_an_idle_connection_is_closed(connection):
    connection.sendall(REQUEST)
    assert bodies(connection, 1) == [b"hellohello"]
    (connected,) = FastPathProtocol._connected
    connection.settimeout(1.5)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connected.timeout_keep_alive = 0.1
    connection.settimeout(5)
    assert connection.recv(1) == b""


def test_it_needs_the_limits(monkeypatch, caplog):
    monkeypatch.setattr(patches, "_applied", {})
    patches.apply(["uvicorn_fast_path"])
    assert caplog.messages == ["without the patch uvicorn_fast_path: expected the patch uvicorn_limits"]
