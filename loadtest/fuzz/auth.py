"""Adds the right API key to inputs, and detects inputs that are accepted without it."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final

from loadtest.fuzz import key_inputs
from loadtest.fuzz.frames import with_header
from loadtest.fuzz.http_inputs import with_headers
from loadtest.fuzz.inputs import KEY, Call, Exchange, Port, generate

if TYPE_CHECKING:
    from loadtest.fuzz.inputs import Family
    from loadtest.fuzz.oracle import Outcome

_SHARE: Final = 0.9  # share of inputs with the key, except those about keys
_OWN: Final = {family.name for family in key_inputs.families(KEY)}

_ANSWERED: Final = {"200", "OK", "message"}
_NEEDY: Final = (b"POST ", b"GET /model ", b"GET /drift ", b"GET /metrics ", b"GET /v2 ", b"GET /app/report ")
"""Start of requests that need a key to be answered."""
_HEALTH: Final = "/grpc.health."


def with_key(family: Family, seed: int, index: int, key: str) -> Exchange | Call:
    """Return an input like `inputs.generate`, mostly with a key."""
    sent = generate(family, seed, index)
    draw = random.Random(f"{seed}/{family.name}/{index}/key")
    if family.name in _OWN or draw.random() > _SHARE:
        return sent
    name, value = draw.choice((("authorization", f"Bearer {key}"), ("x-api-key", key)))
    if isinstance(sent, Call):
        return sent._replace(metadata=[*sent.metadata, (name, value)])
    field = name.encode(), value.encode()
    return sent._replace(
        data=with_header(sent.data, field) if sent.port is Port.GRPC else with_headers(sent.data, [field])
    )


def admitted(sent: Exchange | Call, outcome: Outcome, key: str) -> bool:
    """Return whether an input was answered that needs a key and does not have it in its headers."""
    if outcome.status not in _ANSWERED:
        return False
    if isinstance(sent, Call):
        words = [word for _, value in sent.metadata if isinstance(value, str) for word in value.split()]
        return not sent.method.startswith(_HEALTH) and key not in words
    if sent.port is Port.GRPC:
        return key.encode() not in sent.data
    word = rb"(?<!\S)" + re.escape(key.encode()) + rb"(?!\S)"
    head = sent.data.partition(b"\r\n\r\n")[0]  # a key after the headers does not count
    return sent.data.startswith(_NEEDY) and not re.search(word, head)
