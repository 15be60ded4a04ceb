"""The dashboard is of Grafana's schema: each field is known there, and has a value of its type."""

import json
import typing
from enum import Enum

import pytest
from grafana_foundation_sdk.cog import encoder, plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.configs.monitoring.test_queries import dashboard

PROMETHEUS = {"step", "titleFormat", "textFormat"}
"""Fields of an annotation that are those of its data source, and no part of the schema."""


@pytest.fixture(scope="module")
def given():
    plugins.register_default_plugins()
    return dashboard()


def faults(value, expected, place="") -> list[str]:
    """Return the places of values that are not of the types that the SDK's models name."""
    if isinstance(value, dict) and hasattr(expected, "from_json"):  # which the SDK leaves as it is
        value = expected.from_json(value)
    if hasattr(value, "to_json"):  # a model, of any kind where its type is `object`
        is_one = expected is object or not isinstance(expected, type) or isinstance(value, expected)
        fields = typing.get_type_hints(type(value)).items() if is_one else []
        inner = [faults(getattr(value, name), each, f"{place}.{name}") for name, each in fields]
        return [fault for each in inner for fault in each] if is_one else [place]
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin is typing.Union:
        found = [faults(value, each, place) for each in arguments]
        return max(found, key=len) if all(found) else []
    if origin is list and isinstance(value, list):
        return [fault for i, each in enumerate(value) for fault in faults(each, arguments[0], f"{place}[{i}]")]
    return [] if is_of(value, expected) else [f"{place}: {value!r}"]


def is_of(value, expected) -> bool:
    """Return whether a value is of a type that has no parts."""
    if typing.get_origin(expected) is typing.Literal:
        return value in typing.get_args(expected)
    if issubclass(kind := typing.get_origin(expected) or expected, Enum):
        return value in {each.value for each in kind}
    if isinstance(value, bool) or expected is bool:
        return isinstance(value, bool) and expected in {bool, object}
    return isinstance(value, (int, float) if expected is float else kind)


def unknown(given, kept, place="") -> list[str]:
    """Return the fields that a round trip drops or changes."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [
            fault
            for name, value in given.items()
            for fault in ([f"{place}.{name}"] if name not in kept else unknown(value, kept[name], f"{place}.{name}"))
        ]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        pairs = enumerate(zip(given, kept, strict=True))
        return [fault for i, (one, other) in pairs for fault in unknown(one, other, f"{place}[{i}]")]
    return [] if given == kept else [place]


def round_trip(given):
    return json.loads(encoder.JSONEncoder().encode(Dashboard.from_json(given)))


def test_grafana_knows_every_field(given):
    dropped = unknown(given, round_trip(given))
    assert [each for each in dropped if each.rpartition(".")[2] not in PROMETHEUS] == []
    assert all(each.startswith(".annotations.list[0].") for each in dropped)


def test_every_value_is_of_its_type(given):
    assert faults(Dashboard.from_json(given), Dashboard) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("refresh",), 30),
        (("panels", 1, "gridPos", "w"), "4"),
        (("panels", 1, "options", "colorMode"), "loud"),
        (("panels", 1, "targets", 0, "instant"), "yes"),
        (("templating", "list", 0, "refresh"), 7),
    ],
)
def test_a_wrong_value_is_seen(given, place, value):
    changed = json.loads(json.dumps(given))
    *way, last = place
    part = changed
    for step in way:
        part = part[step]
    assert last in part
    part[last] = value
    assert len(faults(Dashboard.from_json(changed), Dashboard)) == 1


def test_an_unknown_field_is_seen(given):
    changed = given | {"panels": [given["panels"][0], given["panels"][1] | {"colour": "red"}]}
    assert unknown(changed, round_trip(changed)).count(".panels[1].colour") == 1
