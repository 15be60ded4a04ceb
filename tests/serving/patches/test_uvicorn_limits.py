"""How requests arrive, on real sockets of a real uvicorn."""

import asyncio
import json
import re
import socket
import struct
import threading
import time
from contextlib import suppress
from itertools import pairwise
from types import SimpleNamespace

import pytest
import uvicorn
from prometheus_client import REGISTRY

from drugpred.limits import MAX_HEAD_BYTES
from drugpred.schemas import Error
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.capacity import WRITE_BACKLOG
from drugpred.serving.middleware.access import AccessMiddleware
from drugpred.serving.middleware.error_format import ErrorFormatMiddleware
from drugpred.serving.patches import uvicorn_limits as module
from drugpred.serving.patches.uvicorn_limits import Protocol
from drugpred.settings import Settings
from tests.harness import wait
from tests.harness.sockets import read_bodies


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
    if scope["path"] == "/headers":
        await asyncio.sleep(0.05)
        body = json.dumps([[name.decode(), value.decode()] for name, value in scope["headers"]]).encode()
    if scope["path"] == "/large":
        await asyncio.sleep(0.1)
        body = b"x" * 1_000_000
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port():
    service = SimpleNamespace(access=AccessPolicy.from_settings(Settings()))
    entrance = AccessMiddleware(application, lambda: service)

    async def entering(scope, receive, send):  # as the service does, where a test is about it
        await (entrance if scope["path"] == "/large" else application)(scope, receive, send)

    config = uvicorn.Config(
        ErrorFormatMiddleware(entering), http=Protocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
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
    """Return a function that connects; connections are closed at the end."""
    opened = []

    def one():
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        return opened[-1]

    yield one
    for each in opened:
        each.close()


def everything(connection):
    """Return all that the server sends until it closes."""
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
        assert read_bodies(connection, 1) == [b"5"]
    connection.sendall(REQUEST * 5)
    assert read_bodies(connection, 5) == [b"5"] * 5


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
def test_invalid_http_is_refused_in_the_error_format(connect, content):
    connection = connect()
    send(connection, content)
    assert refusal(everything(connection))[0] == 400


def test_a_refusal_has_the_id_of_its_request(connect, caplog):
    for begun in (b"x-request-id: of-the-caller\r\n", b""):
        connection = connect()
        send(connection, b"POST / HTTP/1.1\r\n" + begun + b"host: test\r\nbad header\r\n\r\n")
        (answered,) = re.findall(rb"\r\nx-request-id: (.*)\r\n", everything(connection))
        wait(lambda: caplog.records, "the line")
        assert caplog.records[-1].getMessage() == "Invalid HTTP request received."
        assert caplog.records[-1].request == answered.decode()
        assert (answered == b"of-the-caller") == bool(begun)
        caplog.clear()


@pytest.mark.parametrize("requests", [1, 2, 12])
def test_garbage_behind_requests_ends_the_connection_quietly(connect, caplog, requests):
    for _ in range(5):
        connection = connect()
        send(connection, REQUEST.replace(b"/", b"/later", 1) * requests + b"GET HTTP/1.1\r\n\r\n")
        everything(connection)
    wait(lambda: not Protocol._connected, "connections to end")
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


LONG = {
    "a header": b"GET / HTTP/1.1\r\nx-filler: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
    "headers": b"GET / HTTP/1.1\r\n" + (b"x-filler:" + b"x" * 89 + b"\r\n") * (MAX_HEAD_BYTES // 100 + 1) + b"\r\n",
    "many": b"GET / HTTP/1.1\r\n" + b"x:\r\n" * (MAX_HEAD_BYTES // 4 + 1) + b"\r\n",
    "a path": b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n",
    "an offer": b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\nx-filler: "
    + b"x" * MAX_HEAD_BYTES
    + b"\r\n\r\n",
}


@pytest.mark.parametrize("pieces", [[], [100], [20_000], [100, 16_000], [-2]], ids=str)
@pytest.mark.parametrize("content", LONG.values(), ids=LONG)
def test_long_headers_are_refused_in_any_pieces(connect, content, pieces):
    connection = connect()
    for begin, end in pairwise([0, *pieces, len(content)]):
        send(connection, content[begin:end])
        time.sleep(0.01)
    assert refusal(everything(connection))[0] == 431


def test_headers_that_begin_with_a_long_body_before_them_are_taken(connect):
    connection = connect()
    body = b"x" * (2 * MAX_HEAD_BYTES)
    first = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    connection.sendall(first + b"GET / HTTP/1.1\r\nx: y\r\n")
    assert read_bodies(connection, 1) == [b"%d" % len(body)]
    connection.sendall(b"\r\n")
    assert read_bodies(connection, 1) == [b"0"]


def test_headers_within_the_bound_are_taken_behind_a_long_body(connect):
    connection = connect()
    body = b"x" * (2 * MAX_HEAD_BYTES)
    connection.sendall(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert read_bodies(connection, 1) == [b"%d" % len(body)]
    connection.sendall(b"GET / HTTP/1.1\r\nx-filler: " + b"x" * (MAX_HEAD_BYTES - 1000) + b"\r\n\r\n")
    assert read_bodies(connection, 1) == [b"0"]


def test_trailers_without_an_end_are_cut_off(connect, monkeypatch):
    monkeypatch.setattr(module, "MAX_REQUEST_BYTES", 100_000)
    connection = connect()
    send(connection, b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")
    for _ in range(200):
        send(connection, b"x-trailer: " + b"x" * 1000 + b"\r\n")
    assert refusal(everything(connection))[0] == 413


def test_a_request_answered_before_its_end_is_not_answered_again(connect, monkeypatch):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.1)
    connection = connect()
    send(connection, b"POST /early HTTP/1.1\r\ncontent-length: 1000\r\n\r\nhe")
    assert everything(connection).count(b"HTTP/1.1") == 1


def test_too_many_requests_at_once_on_one_connection_end_it(connect):
    connection = connect()
    send(connection, REQUEST * 1000)
    assert everything(connection).count(b"200 OK") < 1000


@pytest.mark.parametrize("begun", [b"", b"POST / HT", b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhe"])
def test_a_request_that_does_not_arrive_in_time_is_ended(connect, monkeypatch, begun):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.1)
    before = counted("time")
    connection = connect()
    send(connection, begun)
    assert refusal(everything(connection))[0] == 408
    assert counted("time") == before + 1


def test_a_request_that_dribbles_is_ended(connect, monkeypatch):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.5)
    before = counted("time")
    connection = connect()
    send(connection, b"POST / HTTP/1.1\r\ncontent-length: 1000\r\n\r\n")
    until = time.monotonic() + 5
    while counted("time") == before and time.monotonic() < until:
        send(connection, b"x")
        time.sleep(0.05)
    assert refusal(everything(connection))[0] == 408


@pytest.mark.slow
def test_an_answer_that_nobody_takes_is_dropped(connect, monkeypatch):
    monkeypatch.setattr(module, "WRITE_TIMEOUT", 0.1)
    connection = connect()
    connection.sendall(b"GET /unread HTTP/1.1\r\n\r\n")
    time.sleep(3.5)
    assert len(everything(connection)) < 50_000_000


def test_connections_over_the_limit_get_a_retry_time(connect, monkeypatch):
    monkeypatch.setattr(module, "MAX_HTTP_CONNECTIONS", 3)
    before = counted("load")
    wait(lambda: not Protocol._connected, "connections to end")  # those of earlier tests end
    first = [connect() for _ in range(3)]
    for each in first:
        each.sendall(REQUEST)
        assert read_bodies(each, 1) == [b"5"]
    status, head = refusal(everything(connect()))
    assert (status, b"retry-after: 1" in head) == (503, True)
    assert counted("load") == before + 1
    first[0].close()
    wait(lambda: len(Protocol._connected) == 2, "connections to end")
    again = connect()
    again.sendall(REQUEST)
    assert read_bodies(again, 1) == [b"5"]


def test_a_request_for_a_websocket_is_answered(connect):
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
    wait(lambda: not Protocol._connected, "connections to end")


def test_messages_state_the_limits():
    assert all(json.dumps(text).isascii() for text in module._TEXTS.values())


# --- offers to upgrade, and bytes after a body

INNER = b"GET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n"
OFFERS = [
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQBAAAA\r\n",
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: eA==\r\n",
    b"upgrade: foo\r\nupgrade: bar\r\nconnection: keep-alive\r\nconnection: upgrade\r\n",
]
FRAMED = {
    "length": b"content-length: %d\r\n\r\n%b" % (len(INNER), INNER),
    "chunks": b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nx-trailer: a\r\n\r\n" % (len(INNER), INNER),
    "none": b"\r\n",
}


@pytest.mark.parametrize("cut", ["whole", "bytes", "head"])
@pytest.mark.parametrize("framed", FRAMED)
@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_to_upgrade_is_ignored_and_its_body_is_a_body(connect, offer, framed, cut):
    one = b"POST / HTTP/1.1\r\nhost: test\r\n" + offer + FRAMED[framed]
    expected = str(0 if framed == "none" else len(INNER)).encode()
    connection = connect()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    content = one * 2 + REQUEST + one
    at = content.index(b"\r\n\r\n") + 4
    for part in {"whole": [content], "bytes": [content[i : i + 1] for i in range(len(content))]}.get(
        cut, [content[:at], content[at:]]
    ):
        connection.sendall(part)
    assert read_bodies(connection, 4) == [expected, expected, b"5", expected]
    connection.settimeout(0.2)
    with pytest.raises(TimeoutError):
        connection.recv(1)


def test_a_malformed_body_after_an_upgrade_offer_is_refused(connect):
    for content in (
        FRAMED["length"].replace(b"length: ", b"length: x"),
        b"content-length: 3\r\n\r\nabcGARBAGE\r\n\r\n",
    ):
        connection = connect()
        send(connection, b"POST / HTTP/1.1\r\nhost: test\r\n" + OFFERS[0] + content)
        assert b"HTTP/1.1 400" in everything(connection)


@pytest.mark.parametrize("target", [b"/", b"other.example:443"])
def test_there_is_no_proxy_here(connect, target):
    connection = connect()
    send(connection, b"CONNECT " + target + b" HTTP/1.1\r\nhost: test\r\n" + FRAMED["length"])
    assert refusal(everything(connection))[0] == 400


@pytest.mark.parametrize("name", [b"x-api-key", b"authorization", b"x-forwarded-for", b"content-encoding", b"x-own"])
def test_no_field_behind_a_body_becomes_a_header(connect, name):
    request = b"POST /headers HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\nx-own: head\r\n\r\n"
    trailer = name + b": trailer\r\n"
    connection = connect()
    connection.sendall((request + b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n") * 2)
    for body in read_bodies(connection, 2):
        assert json.loads(body) == [["host", "test"], ["transfer-encoding", "chunked"], ["x-own", "head"]]


# --- answers that are not taken


@pytest.fixture
def bounded(monkeypatch):
    monkeypatch.setattr(WRITE_BACKLOG, "_most", 4_000_000)
    return WRITE_BACKLOG


def drained(connection):
    """Return the next answer's status and headers, once all of it was taken."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        assert part, "the connection ended"
        received += part
    head, _, rest = received.partition(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length: ")[2].split()[0]) - len(rest)
    while left > 0:
        left -= len(connection.recv(min(left, 65536)))
    return int(head.split()[1]), head


def test_answers_that_nobody_takes_are_bounded_however_many_wait_to_be_written(connect, bounded):
    before = counted("load")
    connections = [connect() for _ in range(40)]
    for each in connections:
        each.sendall(b"GET /large HTTP/1.1\r\nhost: test\r\n\r\n")  # all are answered at the same time
    wait(lambda: counted("load") > before, "a refusal")
    untaken = sum(each.transport.get_write_buffer_size() for each in Protocol._connected)
    assert 1_000_000 < untaken < 4_000_000 + 40 * 2000
    found = [drained(each) for each in connections]
    refused = [head for status, head in found if status == 503]
    assert {status for status, _ in found} == {200, 503}
    assert all(b"retry-after: 1" in head for head in refused)
    assert counted("load") == before + len(refused)
    wait(lambda: not bounded.transports, "the answers to be taken")
    connections[0].sendall(b"GET /large HTTP/1.1\r\nhost: test\r\n\r\n")
    assert drained(connections[0])[0] == 200


def test_requests_on_a_connection_that_reads_nothing_are_bounded(connect, bounded):
    connection = connect()
    connection.sendall(b"GET /large HTTP/1.1\r\nhost: test\r\n\r\n" * 6)
    wait(lambda: bounded.transports, "an answer that waits")
    time.sleep(0.5)
    assert bounded._waiting + sum(each.get_write_buffer_size() for each in bounded.transports) <= 4_000_000
    assert [drained(connection)[0] for _ in range(6)].count(200) >= 2


def test_a_broken_connection_no_longer_counts(connect, bounded):
    connection = connect()
    connection.sendall(b"GET /large HTTP/1.1\r\nhost: test\r\n\r\n")
    wait(lambda: bounded.transports, "an answer that waits")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    wait(lambda: not bounded.transports, "the answers to be taken")


def test_connections_are_kept_longer_than_proxies_keep_theirs(connect, monkeypatch):
    def kept():
        before = set(Protocol._connected)
        connection = connect()
        connection.sendall(REQUEST)
        assert read_bodies(connection, 1) == [b"5"]
        (one,) = set(Protocol._connected) - before
        return one.timeout_keep_alive

    wait(lambda: not Protocol._connected, "connections to end")
    assert kept() == 75
    monkeypatch.setattr(module, "MAX_HTTP_CONNECTIONS", 4)
    assert [kept() for _ in range(3)] == [75, 5, 5]
