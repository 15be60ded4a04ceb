"""How requests arrive, on real sockets of a real uvicorn."""

import asyncio
import json
import socket
import struct
import threading
import time
from contextlib import suppress

import pytest
import uvicorn
from prometheus_client import REGISTRY

from drugpred.schemas import Error
from drugpred.serving import protocol as module
from drugpred.serving.protocol import MOST_HEAD_BYTES, Protocol


async def application(scope, receive, send):
    """Answer with the length of the body, or of what the path says."""
    if scope["path"] == "/early":
        body = b""
    elif scope["path"] == "/unread":
        body = b"x" * 50_000_000
    else:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = str(size).encode()
    if scope["path"] == "/later":
        await asyncio.sleep(0.05)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port():
    config = uvicorn.Config(application, http=Protocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def connect(port):
    """Return what connects; each is closed at the end."""
    opened = []

    def one():
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        return opened[-1]

    yield one
    for each in opened:
        each.close()


def everything(connection):
    """Return what the server sends until it closes."""
    received = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received


def refusal(answer):
    """Return the status of the only answer, which has the one shape."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert Error.model_validate_json(body).detail == []
    return int(head.split()[1]), head


def send(connection, content):
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(content)


REQUEST = b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello"


def counted(limit):
    return REGISTRY.get_sample_value("drugpred_limited_total", {"limit": limit}) or 0


def test_requests_are_answered_one_after_another_on_one_connection(connect):
    connection = connect()
    for _ in range(3):
        connection.sendall(REQUEST)
        assert connection.recv(1000).endswith(b"\r\n\r\n5")
    connection.sendall(REQUEST * 5)
    time.sleep(0.2)
    assert connection.recv(10_000).count(b"200 OK") == 5


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_in_the_one_shape(connect, content):
    connection = connect()
    send(connection, content)
    assert refusal(everything(connection))[0] == 400


@pytest.mark.parametrize("requests", [1, 2, 12])
def test_garbage_behind_requests_ends_the_connection_quietly(connect, caplog, requests):
    for _ in range(5):
        connection = connect()
        send(connection, REQUEST.replace(b"/", b"/later", 1) * requests + b"GET HTTP/1.1\r\n\r\n")
        everything(connection)
    time.sleep(0.2)
    assert "Traceback" not in caplog.text


def test_long_headers_are_refused_as_they_arrive(connect):
    before = counted("size")
    connection = connect()
    send(connection, b"GET / HTTP/1.1\r\n")
    for _ in range(40):
        send(connection, b"x-filler: " + b"x" * 1000 + b"\r\n")
        time.sleep(0.002)
    assert refusal(everything(connection))[0] == 431
    assert counted("size") == before + 1


def test_long_headers_in_one_piece_are_refused(connect):
    connection = connect()
    send(connection, b"GET / HTTP/1.1\r\nx-filler: " + b"x" * MOST_HEAD_BYTES + b"\r\n\r\n")
    assert refusal(everything(connection))[0] == 431


def test_headers_within_the_bound_are_taken_behind_a_long_body(connect):
    connection = connect()
    body = b"x" * (2 * MOST_HEAD_BYTES)
    connection.sendall(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert connection.recv(1000).endswith(b"%d" % len(body))
    connection.sendall(b"GET / HTTP/1.1\r\nx-filler: " + b"x" * (MOST_HEAD_BYTES - 1000) + b"\r\n\r\n")
    assert connection.recv(1000).endswith(b"\r\n\r\n0")


def test_trailers_without_an_end_are_cut_off(connect, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)
    connection = connect()
    send(connection, b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")
    for _ in range(200):
        send(connection, b"x-trailer: " + b"x" * 1000 + b"\r\n")
    assert refusal(everything(connection))[0] == 413


def test_what_was_answered_before_it_arrived_is_not_answered_again(connect, monkeypatch):
    monkeypatch.setattr(module, "ARRIVAL_SECONDS", 0.1)
    connection = connect()
    send(connection, b"POST /early HTTP/1.1\r\ncontent-length: 1000\r\n\r\nhe")
    assert everything(connection).count(b"HTTP/1.1") == 1


def test_too_many_requests_at_once_on_one_connection_end_it(connect):
    connection = connect()
    send(connection, REQUEST * 1000)
    assert everything(connection).count(b"200 OK") < 1000


@pytest.mark.parametrize("begun", [b"", b"POST / HT", b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhe"])
def test_what_does_not_arrive_in_time_is_ended(connect, monkeypatch, begun):
    monkeypatch.setattr(module, "ARRIVAL_SECONDS", 0.1)
    before = counted("time")
    connection = connect()
    send(connection, begun)
    assert refusal(everything(connection))[0] == 408
    assert counted("time") == before + 1


def test_a_request_that_dribbles_is_ended(connect, monkeypatch):
    monkeypatch.setattr(module, "ARRIVAL_SECONDS", 0.5)
    connection = connect()
    send(connection, b"POST / HTTP/1.1\r\ncontent-length: 1000\r\n\r\n")
    started = time.monotonic()
    while time.monotonic() - started < 5:
        send(connection, b"x")
        time.sleep(0.05)
        connection.setblocking(False)
        try:
            answer = connection.recv(1000)
            break
        except BlockingIOError:
            connection.setblocking(True)
    assert refusal(answer)[0] == 408


@pytest.mark.slow
def test_an_answer_that_nobody_takes_is_dropped(connect, monkeypatch):
    monkeypatch.setattr(module, "TAKING_SECONDS", 0.1)
    connection = connect()
    connection.sendall(b"GET /unread HTTP/1.1\r\n\r\n")
    time.sleep(3.5)
    assert len(everything(connection)) < 50_000_000


def test_more_connections_than_the_bound_are_told_to_come_back(connect, monkeypatch):
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 3)
    before = counted("load")
    time.sleep(0.2)  # those of earlier tests end
    first = [connect() for _ in range(3)]
    for each in first:
        each.sendall(REQUEST)
        assert b"200 OK" in each.recv(1000)
    status, head = refusal(everything(connect()))
    assert (status, b"retry-after: 1" in head) == (503, True)
    assert counted("load") == before + 1
    first[0].close()
    time.sleep(0.2)
    again = connect()
    again.sendall(REQUEST)
    assert b"200 OK" in again.recv(1000)


def test_who_asks_for_a_websocket_gets_an_answer(connect):
    connection = connect()
    upgrade = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: eA==\r\n"
    connection.sendall(b"GET / HTTP/1.1\r\n" + upgrade + b"\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_a_connection_that_breaks_is_forgotten(connect):
    for _ in range(20):
        connection = connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"POST / HTTP/1.1\r\ncontent-le")
        connection.close()
    time.sleep(0.3)
    assert not Protocol._connected


def test_texts_hold_no_more_than_is_said():
    assert all(json.dumps(text).isascii() for text in module._TEXTS.values())
