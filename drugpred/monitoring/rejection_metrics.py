"""Counts malformed requests by field and reason, with a closed set of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import AliasChoices

from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.monitoring.metrics import REFUSED
from drugpred.schemas import Profile, faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import ValidationError

    from drugpred.errors import Fault

    _Loc = Sequence[str | int]

_OTHER: Final = "other"
_MISSING: Final = "missing"
_UNKNOWN: Final = "unknown"
_CATEGORY: Final = "category"
_RANGE: Final = "range"

_FIELDS: Final[dict[str | int, str]] = {
    **{name: name for name in (*INPUTS, "drugs", "window", "include", "scale", "profiles")},
    **{
        str(alias): name
        for name in INPUTS
        for choices in [Profile.model_fields[name].validation_alias]
        if isinstance(choices, AliasChoices)
        for alias in choices.choices
    },
}
"""Fields by each of their names."""

_BY_FIELD: Final = {each.name: _CATEGORY for each in CATEGORIES} | {each.name: _RANGE for each in SCORES}
"""Reasons for rejecting a value of the right type."""

_BY_TYPE: Final = {
    "missing": _MISSING,
    "extra_forbidden": _UNKNOWN,
    "literal_error": _CATEGORY,
    "finite_number": _RANGE,
    "too_short": _RANGE,
    "too_long": _RANGE,
}
"""Reasons by type of pydantic's error. All values of a wrong type have one reason."""


def count_validation(error: ValidationError) -> None:
    """Count a request that pydantic rejected: each field once with each reason, for any number of people."""
    _count(_of(fault.loc, fault.type) for fault in faults(error))


def count_column(field: str, row: int | None) -> None:
    """Count a request that `drugpred.tabular` rejected, by the field and the row of its error."""
    _count([(_FIELDS.get(field, _OTHER), _OTHER if row is None else _BY_FIELD.get(field, _OTHER))])


def count_tensors(details: Iterable[Fault]) -> None:
    """Count a request that `drugpred.serving.v2.dataplane` rejected."""
    _count(_of_tensor(detail.loc, detail.type) for detail in details)


def _count(refused: Iterable[tuple[str, str]]) -> None:
    for field, reason in set(refused):
        REFUSED.labels(field, reason).inc()


def _of(loc: _Loc, kind: str) -> tuple[str, str]:
    if kind == "extra_forbidden":
        return _OTHER, _UNKNOWN
    field = next((_FIELDS[step] for step in reversed(loc) if step in _FIELDS), _OTHER)
    return field, _BY_FIELD.get(field, _OTHER) if kind == "unexpected" else _BY_TYPE.get(kind, _OTHER)


def _of_tensor(loc: _Loc, kind: str) -> tuple[str, str]:
    match [*loc], kind:
        case ["inputs", int(), "name"], "unexpected":
            return _OTHER, _UNKNOWN
        case ["outputs", int(), "name"], "unexpected":
            return "drugs", _CATEGORY
        case ["inputs", str(field)], "unexpected":
            return _FIELDS.get(field, _OTHER), _MISSING
        case ["inputs", str(field), *_, str()], "unexpected":  # the whole data, the datatype or the shape
            return _FIELDS.get(field, _OTHER), _OTHER
    return _of(loc, kind)
