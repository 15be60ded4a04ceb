"""HTTP/2 frames, valid and invalid ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadtest.harness.payloads import PREDICT

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

FIELDS: Final = {
    b":method": b"POST",
    b":scheme": b"http",
    b":path": PREDICT.encode(),
    b":authority": b"localhost",
    b"te": b"trailers",
    b"content-type": b"application/grpc",
}
"""The headers of a call."""

_DATA, _HEADERS = 0, 1
_LONGEST: Final = 2**14  # bytes of a frame, as in the default settings
_END_STREAM, _END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes, length: int | None = None) -> bytes:
    """Return an HTTP/2 frame, whose length may be wrong."""
    claimed = len(payload) if length is None else length
    return claimed.to_bytes(3) + bytes([kind, flags]) + (stream & 0xFFFFFFFF).to_bytes(4) + payload


async def read(reader: asyncio.StreamReader) -> tuple[int, int, int, bytes]:
    """Read a frame; return its kind, flags, stream and payload."""
    head = await reader.readexactly(9)
    return head[3], head[4], int.from_bytes(head[5:]), await reader.readexactly(int.from_bytes(head[:3]))


def headers(*fields: tuple[bytes, bytes]) -> bytes:
    """Return header fields in HPACK, all as literals without indexing."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def _string(text: bytes) -> bytes:
    n = len(text)
    if n < 127:
        return bytes([n]) + text
    return b"\x7f" + varint(n - 127) + text


def varint(n: int) -> bytes:
    """Return an integer in groups of seven bits, as in HPACK and protobuf."""
    coded = b""
    while n >= 128:
        coded, n = coded + bytes([n % 128 + 128]), n // 128
    return coded + bytes([n])


SETTINGS: Final = PREFACE + frame(4, 0, 0, b"")  # start of a connection


def call(method: bytes, message: bytes, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a connection with one call and additional header fields."""
    block = headers(*(FIELDS | {b":path": method}).items(), *fields)
    content = b"\0" + len(message).to_bytes(4) + message
    return SETTINGS + frame(_HEADERS, _END_HEADERS, 1, block) + frame(_DATA, _END_STREAM, 1, content)


def partial_call(method: bytes, message: bytes, length: int) -> bytes:
    """Return a connection with one call whose message is shorter than the length that it claims."""
    block = headers(*(FIELDS | {b":path": method}).items())
    content = b"\0" + length.to_bytes(4) + message
    parts = [frame(_DATA, 0, 1, content[at : at + _LONGEST]) for at in range(0, len(content), _LONGEST)]
    return SETTINGS + frame(_HEADERS, _END_HEADERS, 1, block) + b"".join(parts)


def with_header(data: bytes, field: tuple[bytes, bytes]) -> bytes:
    """Return a connection with another header field in each call; bytes that are no frame stay unchanged."""
    if not data.startswith(PREFACE):
        return data
    at, parts = len(PREFACE), [PREFACE]
    while at + 9 <= len(data):
        end = at + 9 + int.from_bytes(data[at : at + 3])
        one, kind, flags, stream = data[at:end], data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9])
        if kind == _HEADERS and flags == _END_HEADERS and one[9:].startswith(headers((b":method", b"POST"))):
            one = frame(kind, flags, stream, one[9:] + headers(field))
        parts.append(one)
        at = end
    return b"".join(parts) + data[at:]
