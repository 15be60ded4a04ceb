"""Bytes that are no valid request, or that a careless server reads as two requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadtest.fuzz import bodies
from loadtest.fuzz.frames import FIELDS, PREFACE, SETTINGS, frame, headers
from loadtest.fuzz.inputs import MARK, Exchange, Family, Mode, Port, mutate
from loadtest.harness.http1 import request

if TYPE_CHECKING:
    import random

_BODY: Final = bodies.VALID[bodies.PREDICT]
_POST: Final = request("POST", bodies.PREDICT, _BODY)
_HEAD: Final = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
_GET: Final = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
_CHUNKED: Final = _HEAD + b"transfer-encoding: chunked\r\n\r\n"
_MARK: Final = MARK.encode()

# First bytes of a TLS 1.2 handshake.
_HELLO: Final = (
    bytes.fromhex("16030100c8010000c40303") + bytes(range(32)) + bytes.fromhex("000002c02f0100") + bytes(150)
)

_SMUGGLING: Final = (
    _HEAD + b"content-length: %d\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" % len(_GET) + _GET,
    _HEAD + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n5c\r\n" + _GET + b"0\r\n\r\n",
    _HEAD + b"content-length: 3\r\ncontent-length: 5\r\n\r\nabcde" + _GET,
    *(_HEAD + b"content-length: 3, 5\r\n\r\nabcde", _HEAD + b"content-length: +3\r\n\r\nabc"),
    *(_HEAD + b"content-length: -1\r\n\r\n", _HEAD + b"content-length: 0x3\r\n\r\nabc"),
    *(_HEAD + b"content-length: 99999999999999999999999999\r\n\r\n", _HEAD + b"content-length:\r\n\r\n"),
    _HEAD + b"transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    _HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    _HEAD + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    _HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n" + _GET,
    _HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
)

_CHUNKS: Final = (
    *(b"zz\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"ffffffffffffffff\r\nabc", b"fffffffffffffffff\r\nabc"),
    *(b"3\r\nabcd\r\n0\r\n\r\n", b"3;ext=" + b"a" * 20_000 + b"\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n"),
    *(b"0\r\nx: " + _MARK + b"\r\n\r\n", b"0" * 5000 + b"3\r\nabc", b"1\r\n{\r\n" * 3000 + b"0\r\n\r\n"),
    *(b"0\r\n" + b"x: y\r\n" * 3000 + b"\r\n", b" 3\r\nabc\r\n0\r\n\r\n", b"\r\n"),
)

_LINES: Final = (
    *(b"no colon", b": no name", b"a b: c", b"x\x00: y", b"x: \x00" + _MARK, b" folded: " + _MARK, b"x: a\r\n\tb"),
    *(b"x:\ry", b"host: other", b"host: a/b@" + _MARK, b"\xff: \xff", b"x: \xff\xfe", b"expect: 100-continue"),
    *(b"expect: " + _MARK, b"connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__"),
    b"connection: close, keep-alive, " + _MARK,
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZQ==",
    b"connection: upgrade\r\nupgrade: " + _MARK,
)

_STARTS: Final = (
    *(b"GET /\r\n\r\n", b"GET / HTTP/0.9\r\n\r\n", b"GET / HTTP/3.0\r\n\r\n", b"GET / HTTP/1.1.1\r\n\r\n"),
    *(b"GET / http/1.1\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n", b"GET\t/ HTTP/1.1\r\n\r\n", b"GET HTTP/1.1\r\n\r\n"),
    *(b"\r\n" * 50 + _GET, b" " + _GET, _MARK + b"\r\n\r\n", b"get / HTTP/1.1\r\n\r\n"),
    *(b"GETT / HTTP/1.1\r\nhost: a\r\n\r\n", b"POST /predict HTTP/1.1\r\n\r\n", b"POST /predict HTTP/1.0\r\n\r\n"),
    b"GET http://other.example/" + _MARK + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    *(b"CONNECT other.example:443 HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n"),
    *(b"GET /a\x00b HTTP/1.1\r\nhost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n"),
    *(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", PREFACE + bytes(9), _HELLO),
    *(b"HTTP/1.1 200 OK\r\n\r\n", b"\x00" * 100, b"GET mailto:x HTTP/1.1\r\nhost: x\r\n\r\n"),
    *(b"GET //[ HTTP/1.1\r\nhost: x\r\n\r\n", b"GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n"),
)


def _wire(draw: random.Random) -> Exchange:
    match draw.randrange(5):
        case 0:
            data = draw.choice(_SMUGGLING)
        case 1:
            data = _CHUNKED + draw.choice(_CHUNKS)
        case 2:
            line = draw.choice(_LINES)
            data = _HEAD + line + b"\r\ncontent-length: %d\r\n\r\n" % len(_BODY) + _BODY
        case 3:
            data = draw.choice(_STARTS)
        case _:  # bytes after a request on the same connection
            data = draw.choice((_POST, _GET)) * draw.choice((1, 2, 20)) + draw.choice((*_STARTS, draw.randbytes(50)))
    return Exchange(data, Mode.WAIT, keep=False)


def _altered(draw: random.Random) -> Exchange:
    path = draw.choice(tuple(bodies.VALID))
    head = request("POST", path, bodies.VALID[path]).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    return Exchange(mutate(draw, head) + bodies.VALID[path], Mode.WAIT, keep=False)


def _cut(draw: random.Random) -> Exchange:
    path = draw.choice(tuple(bodies.VALID))
    data = draw.choice((request("POST", path, bodies.VALID[path]), _CHUNKED + b"%x\r\n" % len(_BODY) + _BODY + b"\r\n"))
    at = draw.randrange(len(data) + 1)
    return Exchange(data[:at], draw.choice((Mode.CUT, Mode.RESET)), keep=False)


def _claims(draw: random.Random) -> Exchange:
    path = draw.choice(tuple(bodies.VALID))
    claimed = draw.choice((5 * 2**20, 2**31, 2**32, 2**40, 2**63 - 1))
    head = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (path.encode(), claimed)
    return Exchange(head + bodies.VALID[path][: draw.choice((0, 100))], Mode.END, keep=False)


def _slow(draw: random.Random) -> Exchange:
    data = draw.choice((_POST, _GET, _CHUNKED))
    return Exchange(data[: draw.randrange(len(data))], Mode.SLOW, keep=False)


_OFFERS: Final = (
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: eA==\r\n",
    b"connection: keep-alive, UPGRADE\r\nupgrade: " + _MARK + b"\r\n",
)
_INNER: Final = b"GET /smuggled HTTP/1.1\r\nhost: inner\r\n\r\n"


def _upgrades(draw: random.Random) -> Exchange:
    """Return requests that offer to upgrade and have a body, which may look like a request."""
    data, requests = b"", draw.choice((1, 1, 2, 5))
    for _ in range(requests):
        body = draw.choice((_BODY, _INNER, _INNER * 3))
        framed = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        if draw.random() < 0.6:
            framed = b"content-length: %d\r\n\r\n%b" % (len(body), body)
        start = draw.choice((_HEAD, _HEAD, _HEAD.replace(b"POST /predict", b"CONNECT x:1"), b"GET" + _HEAD[4:]))
        data += start + draw.choice(_OFFERS) + framed
    return Exchange(data, Mode.WAIT, keep=False, requests=requests)


def _half(draw: random.Random) -> Exchange:
    """Return most of a body, to a path that takes none or from a caller without a key."""
    path = draw.choice((b"/livez", b"/readyz", b"/health", b"/v2/health/ready", b"/docs.json", b"/app", b"/" + _MARK))
    length = draw.choice((1, 1000, 2**20, 2**22))
    head = b"%b %b HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n"
    data = head % (draw.choice((b"POST", b"POST", b"GET", b"PUT")), path, length) + b"x" * min(length - 1, 2**17)
    return Exchange(data, Mode.ANSWER, keep=False)


def _unread(draw: random.Random) -> Exchange:
    """Return requests whose long answers the client does not read."""
    people = b", ".join([_BODY] * draw.choice((10, 200)))
    batch = request("POST", bodies.BATCH, b'{"profiles": [' + people + b"]}")
    data = draw.choice((batch, batch, _GET.replace(b"/health", b"/docs.json"), _GET.replace(b"/health", b"/metrics")))
    return Exchange(data * draw.choice((1, 4, 16)), Mode.UNREAD, keep=False)


_ODD: Final = (
    *((b"content-type", kind) for kind in (b"", b"text/plain", b"application/json", b"application/grpc+json", _MARK)),
    *((b"grpc-timeout", time) for time in (b"", b"-1S", b"1", b"S", b"9" * 40 + b"H", b"1x", _MARK, b"1.5S", b"0n")),
    *((b"grpc-encoding", coding) for coding in (b"gzip", b"br", _MARK)),
    *((b":method", method) for method in (b"GET", b"PUT", b"", _MARK)),
    *(
        (b":path", path)
        for path in (b"", b"/", b"//", b"*", b"/" + _MARK, b"/a/b/c", b"/\xff/\xff", b"/" + b"a" * 20_000)
    ),
    *(
        *((b"te", b""), (b":status", b"200"), (b":scheme", b"ftp"), (b"Upper", b"x"), (b"x\x00", b"y"), (b"", b"")),
        (b":x", b"y"),
    ),
    *(
        *((b"content-length", b"5"), (b"x-bin", b"not base64!"), (b"grpc-status", b"0"), (b"x", b"y" * 9000)),
        (b"host", _MARK),
    ),
)
_MESSAGES: Final = (
    *(b"", b"\0", b"\0\0\0\0\0", b"\0\xff\xff\xff\xff", b"\0\x7f\xff\xff\xff" + bytes(100), b"\2\0\0\0\1x"),
    *(b"\1\0\0\0\3abc", b"\xff" * 10, b"\0\0\0\0\5" + _MARK, bytes(1000)),
)


def _http2(draw: random.Random) -> Exchange:
    match draw.randrange(6):
        case 0:
            data = draw.choice(
                (_POST, _GET, _HELLO, draw.randbytes(100), PREFACE[:10] + b"x" * 20, mutate(draw, PREFACE))
            )
        case 1:
            junk = [
                frame(draw.randrange(16), draw.randrange(256), draw.randrange(6), draw.randbytes(8)) for _ in range(5)
            ]
            data = SETTINGS + b"".join(junk)
        case 2:
            wrong = frame(draw.randrange(10), 0, draw.randrange(3), b"", draw.choice((1, 5, 16_385, 2**24 - 1)))
            data = SETTINGS + wrong + draw.randbytes(50)
        case 3:  # settings, windows, priorities and pings that no client sends, many times
            settings = draw.choice((1, 2, 3, 4, 5, 6, 9)).to_bytes(2) + draw.choice((0, 1, 2**31, 2**32 - 1)).to_bytes(
                4
            )
            unusual = draw.choice(
                (frame(4, 0, 0, settings), frame(8, 0, 0, b"\x7f\xff\xff\xff"), frame(6, 0, 0, bytes(8)))
            )
            data = SETTINGS + unusual * draw.choice((1, 10, 500))
        case 4:  # streams that are opened and reset as fast as possible
            block = headers(*FIELDS.items())
            opened = [
                frame(1, 4, 2 * i + 1, block) + frame(3, 0, 2 * i + 1, bytes(4))
                for i in range(draw.choice((1, 50, 300)))
            ]
            data = SETTINGS + b"".join(opened)
        case _:
            name, value = draw.choice(_ODD)
            block = headers(*(FIELDS | {name: value}).items()) if name else draw.randbytes(60)
            data = SETTINGS + frame(1, 4, 1, block) + frame(0, 1, 1, draw.choice(_MESSAGES))
            if draw.random() < 0.2:
                data = mutate(draw, data)
    return Exchange(data, Mode.WAIT, keep=False, port=Port.GRPC)


FAMILIES: Final = (
    Family("HTTP, malformed", 4, _wire),
    Family("HTTP, heads altered", 3, _altered),
    Family("HTTP, cut or reset", 3, _cut),
    Family("HTTP, lengths claimed", 0.2, _claims),
    Family("HTTP, silent", 0.02, _slow),
    Family("HTTP, upgrades", 1, _upgrades),
    Family("HTTP, half bodies", 1, _half),
    Family("HTTP, unread answers", 0.2, _unread),
    Family("HTTP/2 frames", 3, _http2),
)
"""Inputs that need a connection of their own."""
