"""How much a message holds, counted in its bytes: two of them may become a hundred in the parsed message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from drugpred.codebook import CATEGORIES, DRUGS, INPUTS
from drugpred.columns import MOST_ROWS
from drugpred.monitoring.refused import count_tensors
from drugpred.schemas import MOST_PROFILES, ErrorDetail
from drugpred.serving.errors import path
from drugpred.serving.rpc.refusals import Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LIMITS", "Field", "check"]


class Field(NamedTuple):
    """What a field may hold."""

    name: str
    most: int
    """How many elements; of packed numbers how many bytes."""
    longest: int = 2**31
    """How many bytes each."""
    packed: bool = False
    within: Mapping[int, Field] | None = None
    """By number, the fields of each."""


_LONGEST_PROFILE: Final = 512
"""The longest that says everything once has 160 bytes."""

_MOST_PARAMETERS: Final = 16
_MOST_BYTES: Final = 10 * MOST_ROWS
"""Of a packed column: a number has ten at most."""


def _packed(first: int, *names: str) -> dict[int, Field]:
    return {number: Field(name, _MOST_BYTES, packed=True) for number, name in enumerate(names, first)}


_PARAMETERS: Final = Field("parameters", _MOST_PARAMETERS)
_CONTENTS: Final = {
    **_packed(2, "int_contents", "int64_contents", "uint_contents", "uint64_contents"),
    8: Field("bytes_contents", MOST_ROWS),
}
_INPUT: Final = {
    3: Field("shape", 1000, packed=True),
    4: _PARAMETERS,
    5: Field("contents", 1, within=_CONTENTS),
}

LIMITS: Final[Mapping[str, Mapping[int, Field]]] = {
    "PredictBatch": {1: Field("profiles", MOST_PROFILES, _LONGEST_PROFILE)},
    "PredictStream": {
        **_packed(3, *(category.name for category in CATEGORIES)),
        15: Field("drugs", 1000, packed=True),
    },
    "ModelInfer": {
        4: _PARAMETERS,
        5: Field("inputs", len(INPUTS), within=_INPUT),
        6: Field("outputs", len(DRUGS), within={2: _PARAMETERS}),
        7: Field("raw_input_contents", len(INPUTS)),
    },
}
"""By method, the fields of its requests of which there may be many, by number."""

_VARINT, _BYTES = 0, 2
_FIXED: Final = {1: 8, 5: 4}
"""Bytes of the other types of fields."""
_MORE: Final = 128
"""From which on a byte is not the last one of a number."""
_LONGEST_NUMBER: Final = 10


def check(message: bytes, fields: Mapping[int, Field]) -> None:
    """Check how much a message holds; one that cannot be read is for the parser to refuse.

    Raises
    ------
    Malformed
        A field holds more than it may.
    """
    try:
        _check(message, 0, len(message), fields, [])
    except IndexError:
        return


def _check(data: bytes, at: int, end: int, fields: Mapping[int, Field], where: list[str | int]) -> None:
    held = dict.fromkeys(fields, 0)
    while at < end:
        tag, at = _number(data, at)
        size, at = _size(data, at, tag & 7)
        # The fields of a group are counted as if they were the message's.
        field = fields.get(tag >> 3)
        if field is None:
            at += size
            continue
        is_bytes = tag & 7 == _BYTES
        n = held[tag >> 3] + (size if field.packed and is_bytes else 1)
        if size > field.longest:
            raise _refusal([*where, field.name, n - 1], f"{field.longest} bytes")
        if field.within and is_bytes:
            place = [field.name] if field.most == 1 else [field.name, n - 1]
            _check(data, at, min(at + size, end), field.within, [*where, *place])
        at += size
        if is_bytes and not field.packed and not field.within and tag < _MORE:
            # A run of short elements, as the labels of ten thousand people are.
            longest, most = min(field.longest, _MORE - 1), field.most
            while at < end and data[at] == tag and (short := data[at + 1]) <= longest and n <= most:
                at += 2 + short
                n += 1
        held[tag >> 3] = n
        if n > field.most:
            raise _refusal([*where, field.name], f"{field.most} {'bytes' if field.packed else 'elements'}")


def _size(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """Return how many bytes a field has, and where they begin."""
    if kind == _BYTES:
        return _number(data, at)
    if kind == _VARINT:
        return 0, _number(data, at)[1]
    return _FIXED.get(kind, 0), at


def _refusal(place: list[str | int], most: str) -> Malformed:
    expected = f"expected at most {most}"
    count_tensors([ErrorDetail(loc=place, msg=expected, type="too_long")])
    return Malformed({path(place): expected})


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    value = shift = 0
    for end in range(at, at + _LONGEST_NUMBER):
        part = data[end]
        if part < _MORE:
            return value | part << shift, end + 1
        value |= (part - _MORE) << shift
        shift += 7
    raise IndexError
