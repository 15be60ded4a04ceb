"""API keys that are wrong, malformed, repeated, long or in both headers, on otherwise valid requests."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from loadtest.fuzz import bodies, grpc_inputs
from loadtest.fuzz.frames import call
from loadtest.fuzz.http_inputs import with_headers
from loadtest.fuzz.inputs import KEY, MARK, Call, Exchange, Family, Mode, Port
from loadtest.harness.http1 import request

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

_Field = tuple[bytes, bytes]

_KEY: Final = KEY.encode()
_MARK: Final = MARK.encode()

_SCHEMES: Final = (
    *(*(b"Bearer ",) * 12, b"bearer ", b"BEARER  ", b"Bearer\t", b"Bearer", b"Bearer:", b"Bearer Bearer ", b"Basic "),
    *(b"Digest ", b"", b"Bearer \xc2\xa0", b"\xff ", _MARK + b" "),
)
_WRONG: Final = (_MARK, _MARK * 3, b"0" * 64, b"null", b'"' + _MARK + b'"', b"", b" ", b"=", b"../" + _MARK)
_ALMOST: Final = (
    *(_KEY + _MARK, _MARK + _KEY, _KEY + b" " + _MARK, _KEY + b"," + _KEY, b'"' + _KEY + b'"', _KEY * 2),
    *(_KEY + b"\x0b", _KEY + b"\x00", _KEY + b"\xc2\xa0", b"\xef\xbb\xbf" + _KEY, b"\t" + _KEY + b" "),
)
_NO_ASCII: Final = (
    *(f"\u00e9{MARK}".encode(), f"\u00e9{MARK}".encode("latin-1"), f"\U0001f4a9{MARK}".encode(), b"\xff\xfe" + _MARK),
    *(b"\xc0\xaf" + _MARK, b"\xed\xa0\x80" + _MARK, MARK.encode("utf-16"), b"\x00" + _MARK, b"\x7f" + _MARK),
)
_NAMES: Final = (
    *(b"Authorization", b"AUTHORIZATION", b"X-API-KEY", b"x_api_key", b"x-api-key ", b"api-key"),
    *(b"proxy-authorization", b"authorization-bin", b"x-api-key-bin", b"cookie"),
)
_METHODS: Final = (*grpc_inputs.VALID, *(f"/drugpred.v1.DrugPrediction/{name}" for name in ("GetModel", "X")))
_TARGETS: Final = ("/model", "/drift", "/metrics", "/v2", "/app/report", "/health", "/nothing")


def _value(draw: random.Random) -> bytes:
    match draw.randrange(6):
        case 0:
            return _KEY
        case 1:
            return draw.choice(_WRONG)
        case 2:
            return draw.choice(_ALMOST)
        case 3:
            return draw.choice((_KEY, _MARK, b"\xff")) * draw.choice((25, 26, 700, 3000))
        case 4:
            return draw.choice(_NO_ASCII)
        case _:
            return bytes(draw.choices(range(0x20, 0x100), k=draw.choice((1, 32, 256, 257))))


def _fields(draw: random.Random) -> Sequence[_Field]:
    """Return names and values of headers."""

    def authorization() -> _Field:
        return b"authorization", draw.choice(_SCHEMES) + _value(draw)

    def header() -> _Field:
        return b"x-api-key", _value(draw)

    match draw.randrange(7):
        case 0:
            return []
        case 1:
            return [authorization()]
        case 2:
            return [header()]
        case 3:
            return draw.sample([authorization(), header()], 2)
        case 4:
            return [draw.choice((authorization, header))() for _ in range(draw.choice((2, 3, 10)))]
        case 5:
            name, value = draw.choice((authorization, header))()
            return [(name, value[:100])] * draw.choice((2, 100, 1000))
        case _:
            return [(draw.choice(_NAMES), draw.choice((b"", b"Bearer ")) + _value(draw))]


def _http(draw: random.Random, key: str) -> Exchange:
    if draw.random() < 0.7:
        path = draw.choice(tuple(bodies.VALID))
        data = request("POST", path, bodies.VALID[path])
    else:
        data = request(draw.choice(("GET", "GET", "HEAD")), draw.choice(_TARGETS), headers=())
    return Exchange(with_headers(data, _key_headers(draw, key)), Mode.END)


def _trailers(draw: random.Random, key: str) -> Exchange:
    """Return a chunked request with the right key, or its address, in trailers after its body."""
    path = draw.choice(tuple(bodies.VALID))
    body = bodies.VALID[path]
    wrong = draw.choice((b"", b"x-api-key: wrong\r\n", b"authorization: Bearer wrong\r\n", b"trailer: x-api-key\r\n"))
    lines = (
        *(b"x-api-key: " + _KEY, b"authorization: Bearer " + _KEY),
        b"X-Forwarded-For: 192.0.2.%d" % draw.randrange(256),
    )
    trailers = b"".join(line + b"\r\n" for line in draw.choices(lines, k=draw.choice((1, 1, 2, 100))))
    head = b"POST %b HTTP/1.1\r\nhost: localhost\r\n%btransfer-encoding: chunked\r\n\r\n" % (path.encode(), wrong)
    data = head + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)
    return Exchange(data.replace(_KEY, key.encode()), Mode.WAIT, keep=False, requests=1)


def _grpc(draw: random.Random, key: str) -> Call | Exchange:
    method = draw.choice(_METHODS)
    message = grpc_inputs.VALID.get(method, b"")
    fields = _key_headers(draw, key)
    if draw.random() < 0.5:
        return Exchange(call(method.encode(), message, fields), Mode.WAIT, keep=False, port=Port.GRPC)
    metadata = [(name.decode(), value.decode()) for name, value in fields if _sendable(name, value)]
    return Call(method, [message], streaming=method.endswith("Stream"), metadata=metadata)


def _key_headers(draw: random.Random, key: str) -> list[_Field]:
    return [(name, value.replace(_KEY, key.encode())) for name, value in _fields(draw)]


def _sendable(name: bytes, value: bytes) -> bool:
    """Return whether a gRPC client can send this header."""
    text = name + value
    return name.islower() and not name.endswith((b" ", b"-bin")) and text.isascii() and text.decode().isprintable()


def families(key: str) -> tuple[Family, ...]:
    """Return the families of inputs with keys of their own, for this right key."""
    return (
        Family("keys", 4, partial(_http, key=key)),
        Family("gRPC, keys", 2, partial(_grpc, key=key)),
        Family("trailers", 1, partial(_trailers, key=key)),
    )
