"""The right API key on inputs, and what was let in without it."""

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

_SHARE: Final = 0.9  # how many inputs come with the key, but of those that are about keys
_OWN: Final = {family.name for family in key_inputs.families(KEY)}

_ANSWERED: Final = {"200", "OK", "message"}
_NEEDY: Final = (b"POST ", b"GET /model ", b"GET /drift ", b"GET /metrics ", b"GET /v2 ", b"GET /app/report ")
"""How requests begin that need a key if they are answered at all."""
_HEALTH: Final = "/grpc.health."


def with_key(family: Family, seed: int, index: int, key: str) -> Exchange | Call:
    """Return an input as `inputs.generate` does, mostly with a key."""
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
    """Tell whether an input was answered that needs a key and did not have it as a word of its own."""
    if outcome.status not in _ANSWERED:
        return False
    if isinstance(sent, Call):
        words = [word for _, value in sent.metadata if isinstance(value, str) for word in value.split()]
        return not sent.method.startswith(_HEALTH) and key not in words
    if sent.port is Port.GRPC:
        return key.encode() not in sent.data
    word = rb"(?<!\S)" + re.escape(key.encode()) + rb"(?!\S)"
    head = sent.data.partition(b"\r\n\r\n")[0]  # a key that comes later is none
    return sent.data.startswith(_NEEDY) and not re.search(word, head)
