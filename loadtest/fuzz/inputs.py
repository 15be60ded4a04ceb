"""The types of inputs, and the families that they belong to."""

from __future__ import annotations

import random
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MARK: Final = "Zq7Marked3"
"""Placed in inputs where a person's value could be; it must not appear in an answer or in the log."""

KEY: Final = "Kx5RightKey-where-none-is-needed"
"""The API key if --key gives none; it must not appear either."""


class Mode(Enum):
    """The required reaction to an input, within the second that an answer may take."""

    ANSWER = auto()
    """An answer."""
    END = auto()
    """An answer or the end of the connection."""
    WAIT = auto()
    """The same, but the server may wait for more until the client closes its side."""
    CUT = auto()
    """Nothing: the client closes the connection."""
    RESET = auto()
    """Nothing: the client resets it."""
    UNREAD = auto()
    """Nothing: the client reads nothing, and closes the connection after a moment."""
    SLOW = auto()
    """Like `END`, within the 10 seconds that a request may take to arrive and two more: the client falls silent."""


class Port(Enum):
    """The port that receives an input."""

    HTTP = auto()
    GRPC = auto()


class Exchange(NamedTuple):
    """Bytes on a connection."""

    data: bytes
    mode: Mode = Mode.ANSWER
    keep: bool = True  # whether it is a single well-framed HTTP request, after which the connection is used again
    port: Port = Port.HTTP
    requests: int | None = None
    """Number of requests, if certain: none may be answered twice. The first headers are sent separately."""


class Call(NamedTuple):
    """A gRPC call."""

    method: str
    messages: Sequence[bytes]
    streaming: bool = False
    metadata: Sequence[tuple[str, str | bytes]] = ()
    timeout: float = 3.0  # seconds
    cancel_after: float | None = None  # seconds until the client cancels; None for never
    silent: bool = False
    """Whether the client of a stream then sends nothing and does not end it: the server must end it in time."""
    unread: bool = False  # whether the client of a cancelled stream reads no answer


class Service(NamedTuple):
    """The addresses of the service, and the key that no answer may contain."""

    http: tuple[str, int]  # host and port
    grpc: tuple[str, int]
    key: str = KEY
    wants_key: bool = False


class Family(NamedTuple):
    """Inputs of one kind."""

    name: str
    share: float  # number of inputs, relative to other families
    make: Callable[[random.Random], Exchange | Call]  # returns an input, the same for the same state of the generator
    alone: bool = False  # whether inputs are large, so that one is sent at a time


def generate(family: Family, seed: int, index: int) -> Exchange | Call:
    """Return an input, the same for the same arguments."""
    return family.make(random.Random(f"{seed}/{family.name}/{index}"))


def plan(families: Sequence[Family], requests: int, seed: int) -> list[tuple[Family, int]]:
    """Return a number of inputs to send, shuffled, with at least one of each family."""
    total = sum(family.share for family in families)
    counts = [max(1, int(requests * family.share / total)) for family in families]
    largest = counts.index(max(counts))
    counts[largest] += requests - sum(counts)
    if counts[largest] < 1:
        raise ValueError(f"expected at least {len(families)} requests, one of each family")
    planned = [(family, i) for family, count in zip(families, counts, strict=True) for i in range(count)]
    random.Random(seed).shuffle(planned)
    return planned


_TEXTS: Final = (
    *("{", "}", "[", "]", '"', ":", ",", "\\", "\\u0000", "\\ud800", "null", "NaN", "-Infinity", "1e999", "-0"),
)
_BYTES: Final = (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc0\xaf", b"\xed\xa0\x80", b"\r\n", b"\r\n\r\n", b"9" * 400)
_TOKENS: Final = (*(text.encode() for text in _TEXTS), *_BYTES)


def mutate(draw: random.Random, data: bytes) -> bytes:
    """Return bytes with some of them altered, removed, added or repeated."""
    content = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        at = draw.randrange(len(content) + 1)
        match draw.randrange(7):
            case 0 if at < len(content):
                content[at] ^= 1 << draw.randrange(8)
            case 1 if at < len(content):
                content[at] = draw.randrange(256)
            case 2:
                del content[at : at + draw.choice((1, 2, 10, 100))]
            case 3:
                content[at:at] = draw.choice(_TOKENS)
            case 4:
                content[at:at] = draw.randbytes(draw.choice((1, 4, 40)))
            case 5:
                content[at:at] = content[at : at + draw.randrange(1, 100)]
            case _:
                del content[at:]
    return bytes(content)
