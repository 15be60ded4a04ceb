"""What may be sent, and the family of inputs that it belongs to."""

from __future__ import annotations

import random
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MARK: Final = "Zq7Marked3"
"""Stands in inputs wherever a person's value could; it must come back in no answer and stand in no log."""

KEY: Final = "Kx5RightKey-where-none-is-told"
"""The API key if --key does not name one; what is true of `MARK` is true of keys."""


class Mode(Enum):
    """What must follow what is sent, within the second that an answer may take."""

    ANSWER = auto()
    """An answer."""
    END = auto()
    """An answer or the end of the connection."""
    WAIT = auto()
    """The same, but the server may wait for more until the client ends its side."""
    CUT = auto()
    """Nothing: the client closes the connection."""
    RESET = auto()
    """Nothing: the client resets it."""
    UNREAD = auto()
    """Nothing: the client reads nothing, and closes the connection after a moment."""
    SLOW = auto()
    """As `END`, within the 10 seconds that a request may take to arrive and two more: the client goes silent."""


class Port(Enum):
    """What listens."""

    HTTP = auto()
    GRPC = auto()


class Exchange(NamedTuple):
    """Bytes on a connection."""

    data: bytes
    mode: Mode = Mode.ANSWER
    keep: bool = True  # whether it is one well-framed HTTP request, whose connection serves others after it
    port: Port = Port.HTTP
    requests: int | None = None
    """How many requests it is, where that is sure: none may be answered twice. The first head is sent on its own."""


class Call(NamedTuple):
    """A gRPC call."""

    method: str
    messages: Sequence[bytes]
    streaming: bool = False
    metadata: Sequence[tuple[str, str | bytes]] = ()
    timeout: float = 3.0  # seconds
    cancel_after: float | None = None  # seconds, after which the client cancels; None for never
    silent: bool = False
    """Whether the client, of a stream, then sends nothing more and does not end it either: the server must, in time."""
    unread: bool = False  # whether the client, of a stream that is cancelled, takes no answer


class Service(NamedTuple):
    """Where inputs are sent, and the key that no answer may hold."""

    http: tuple[str, int]  # host and port
    grpc: tuple[str, int]
    key: str = KEY
    wants_key: bool = False


class Family(NamedTuple):
    """Inputs of a kind."""

    name: str
    share: float  # how many, relative to others
    make: Callable[[random.Random], Exchange | Call]  # makes one of the draws it is given, the same of the same
    alone: bool = False  # whether they are large, so that one is sent at a time


def generate(family: Family, seed: int, index: int) -> Exchange | Call:
    """Return an input, the same for the same arguments."""
    return family.make(random.Random(f"{seed}/{family.name}/{index}"))


def plan(families: Sequence[Family], requests: int, seed: int) -> list[tuple[Family, int]]:
    """Return which inputs to send, so many in all, mixed; of each family at least one."""
    total = sum(family.share for family in families)
    counts = [max(1, int(requests * family.share / total)) for family in families]
    largest = counts.index(max(counts))
    counts[largest] += requests - sum(counts)
    if counts[largest] < 1:
        raise ValueError(f"expected {len(families)} requests or more, one of each family")
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
