"""HTTP/1.1 as bytes, for clients that control the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

JSON: Final = ("content-type", "application/json")


class Response(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]  # by name in lower case
    raw_head: bytes
    body: bytes | None  # None if there must be none: for HEAD


def head(method: str, target: str, *lines: str) -> bytes:
    """Return the request line and headers of a request."""
    first = [f"{method} {target} HTTP/1.1", "host: localhost"]
    return "\r\n".join([*first, *lines, "", ""]).encode("utf-8", "surrogatepass")


def request(method: str, target: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = (JSON,)) -> bytes:
    """Return a request with a content-length."""
    lines = (f"{name}: {value}" for name, value in headers)
    return head(method, target, f"content-length: {len(body)}", *lines) + body


async def read_response(reader: asyncio.StreamReader, *, to_head: bool = False) -> Response:
    """Read one final response; `to_head` says whether the request was HEAD.

    Raises
    ------
    asyncio.IncompleteReadError
        The connection closes before the response is complete.
    OSError
        The connection fails.
    """
    status = 0
    while status < 200:  # 100 Continue and the like precede the final response
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        status = int(first.split(" ", 2)[1])
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = None if to_head or status in {204, 304} else await _read_body(reader, headers)
    return Response(status, headers, raw, body)


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", ""):
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return body
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read()
