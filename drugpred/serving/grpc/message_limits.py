"""How much a message holds, counted in its bytes: two of them may become a hundred in the parsed message."""

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
    """What a field may hold."""

    name: str
    most: int  # how many elements; of packed numbers how many bytes
    longest: float = inf  # how many bytes each
    packed: int = 0  # of numbers, the most bytes of one
    within: Mapping[int, Field] | None = None  # by number, the fields of each


_MAX_PROFILE_BYTES: Final = 512  # the longest that says everything once has 160 bytes

_MAX_PARAMETERS: Final = 16
_VARINT_BYTES, _DOUBLE_BYTES = 10, 8


def _packed(first: int, size: int, *names: str) -> dict[int, Field]:
    """Return columns of numbers, one for each person; what checks people refuses fewer than twice too many itself."""
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
"""By method, the fields of its requests of which there may be many, by number."""

_OTHERS: Final = 0  # no field has this number
_OTHER: Final = Field("", 1000)  # all fields together of which there are not many
_VARINT, _BYTES = 0, 2
_FIXED: Final = {1: 8, 5: 4}  # bytes of the other types of fields
_MORE: Final = 128  # from which on a byte is not the last one of a number
_MAX_NUMBER_BYTES: Final = 10


def check(message: bytes, fields: Mapping[int, Field]) -> None:
    """Check how much a message holds; one that cannot be read is for the parser to refuse.

    Raises
    ------
    InvalidArgumentError
        A field holds more than it may.
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
        # The fields of a group are counted as if they were the message's.
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
            # A run of short elements, as the labels of ten thousand people are.
            longest, most = min(field.longest, _MORE - 1), field.most
            while at < end and data[at] == tag and (short := data[at + 1]) <= longest and n <= most:
                at += 2 + short
                n += 1
        held[number] = n
        if n > field.most:
            raise _refusal([*where, field.name], f"{field.most} {'bytes' if field.packed else 'elements'}")


def _size(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """Return how many bytes a field has, and where they begin."""
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
    """Return a number and where it ends."""
    value = shift = 0
    for end in range(at, at + _MAX_NUMBER_BYTES):
        part = data[end]
        if part < _MORE:
            return value | part << shift, end + 1
        value |= (part - _MORE) << shift
        shift += 7
    raise IndexError
