"""Limits of a message's fields, checked before parsing: two bytes may become a hundred in the parsed message."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES
from drugpred.errors import Fault, InvalidArgumentError
from drugpred.limits import MAX_PROFILES, MAX_ROWS
from drugpred.monitoring.rejection_metrics import count_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping


class Field(NamedTuple):
    """Limits of a field."""

    name: str
    most: int  # elements; for packed numbers, bytes
    longest: float = inf  # bytes of an element
    packed: int = 0  # for packed numbers, the longest in bytes
    within: Mapping[int, Field] | None = None  # fields of an embedded message, by number


_MAX_PROFILE_BYTES: Final = 512  # the longest with every field once has 160 bytes

_MAX_PARAMETERS: Final = 16
_VARINT_BYTES, _DOUBLE_BYTES = 10, 8


def _packed(first: int, size: int, *names: str) -> dict[int, Field]:
    """Return the fields of numeric columns, of twice the rows allowed: the exact limit is checked after parsing."""
    return {number: Field(name, 2 * MAX_ROWS * size, packed=size) for number, name in enumerate(names, first)}


_PARAMETERS: Final = Field("parameters", _MAX_PARAMETERS)
_CONTENTS: Final = {
    **_packed(2, _VARINT_BYTES, "int_contents", "int64_contents", "uint_contents", "uint64_contents"),
    8: Field("bytes_contents", MAX_ROWS),
}
_INPUT: Final = {
    3: Field("shape", 1000, packed=_VARINT_BYTES),
    4: _PARAMETERS,
    5: Field("contents", 1, within=_CONTENTS),
}

LIMITS: Final[Mapping[str, Mapping[int, Field]]] = {
    "PredictBatch": {1: Field("profiles", MAX_PROFILES, _MAX_PROFILE_BYTES)},
    "PredictStream": {
        **_packed(3, _VARINT_BYTES, *(category.name for category in CATEGORIES)),
        **_packed(8, _DOUBLE_BYTES, *(score.name for score in SCORES)),
        15: Field("drugs", 1000, packed=_VARINT_BYTES),
    },
    "ModelInfer": {
        4: _PARAMETERS,
        5: Field("inputs", len(INPUTS), within=_INPUT),
        6: Field("outputs", len(DRUGS), within={2: _PARAMETERS}),
        7: Field("raw_input_contents", len(INPUTS)),
    },
}
"""Repeated fields of each method's request, by number."""

_OTHERS: Final = 0  # no field has this number
_OTHER: Final = Field("", 1000)  # all other fields together
_VARINT, _BYTES = 0, 2
_FIXED: Final = {1: 8, 5: 4}  # sizes of the fixed wire types
_MORE: Final = 128  # a byte below this is the last one of a varint
_MAX_NUMBER_BYTES: Final = 10


def check(message: bytes, fields: Mapping[int, Field]) -> None:
    """Check the sizes of a message's fields; a message that cannot be read is left to the parser.

    Raises
    ------
    InvalidArgumentError
        A field holds more than its limit.
    """
    try:
        _check(message, 0, len(message), fields, [])
    except IndexError:
        return


def _check(data: bytes, at: int, end: int, fields: Mapping[int, Field], where: list[str | int]) -> None:
    held = dict.fromkeys([*fields, _OTHERS], 0)
    while at < end:
        tag, at = _number(data, at)
        size, at = _size(data, at, tag & 7)
        # The fields of a group count as fields of the message.
        number = tag >> 3 if tag >> 3 in fields else _OTHERS
        field = fields.get(number, _OTHER)
        is_bytes = tag & 7 == _BYTES
        n = held[number] + (max(size, field.packed) if field.packed else 1)
        if size > field.longest:
            raise _refusal([*where, field.name, n - 1], f"{field.longest} bytes")
        if field.within and is_bytes:
            place = [field.name] if field.most == 1 else [field.name, n - 1]
            _check(data, at, min(at + size, end), field.within, [*where, *place])
        at += size
        if is_bytes and not field.packed and not field.within and tag < _MORE and number:
            # A run of short elements, like the labels of ten thousand people.
            longest, most = min(field.longest, _MORE - 1), field.most
            while at < end and data[at] == tag and (short := data[at + 1]) <= longest and n <= most:
                at += 2 + short
                n += 1
        held[number] = n
        if n > field.most:
            raise _refusal([*where, field.name], f"{field.most} {'bytes' if field.packed else 'elements'}")


def _size(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """Return the length of a field's value, and where it starts."""
    if kind == _BYTES:
        return _number(data, at)
    if kind == _VARINT:
        return 0, _number(data, at)[1]
    return _FIXED.get(kind, 0), at


def _refusal(place: list[str | int], most: str) -> InvalidArgumentError:
    expected = f"expected at most {most}"
    details = [Fault(tuple(place), expected, "too_long")]
    count_tensors(details)
    return InvalidArgumentError(details)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint, and where it ends."""
    value = shift = 0
    for end in range(at, at + _MAX_NUMBER_BYTES):
        part = data[end]
        if part < _MORE:
            return value | part << shift, end + 1
        value |= (part - _MORE) << shift
        shift += 7
    raise IndexError
