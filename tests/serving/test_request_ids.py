"""The id of a request: the caller's, of its trace, or a new one."""

import re

import pytest

from drugpred.serving import request_ids

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
NEW = re.compile("[0-9a-f]{32}")


def both(given=None, parent=None):
    """Return the ids of a request over HTTP and of a call over gRPC."""
    sent = {"x-request-id": given, "traceparent": parent, "x-api-key": "key"}
    metadata = [(name, value) for name, value in sent.items() if value is not None]
    headers = [(name.encode(), value.encode("latin-1")) for name, value in metadata]
    return [request_ids.of_headers(headers).decode(), request_ids.of_metadata([*metadata, ("x-bin", b"\xff")])]


@pytest.mark.parametrize("given", ["a", 'quoted"\\<id>', "x" * 128, TRACE])
def test_the_callers_id_is_taken(given):
    assert both(given) == both(given, PARENT) == [given, given]


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", "a\nb", "a\r", "a\t", "é", "\x7f", "a\x00"])
def test_another_id_is_not_taken(given):
    assert both(given, PARENT) == [TRACE, TRACE]
    ids = both(given)
    assert all(map(NEW.fullmatch, ids))


def test_a_new_id_is_of_one_request():
    assert len({each for _ in range(100) for each in both()}) == 200


@pytest.mark.parametrize(
    ("parent", "taken"),
    [
        (PARENT, True),
        (f"cc-{TRACE}-b7ad6b7169203331-01-what-comes-later", True),
        (f"ff-{TRACE}-b7ad6b7169203331-01", False),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-b7ad6b7169203331-01", False),
        (f"00-{TRACE}-b7ad6b7169203331", False),
        (f"00-{TRACE}", False),
        ("", False),
    ],
)
def test_a_valid_trace_gives_its_id(parent, taken):
    assert [each == TRACE for each in both(parent=parent)] == [taken, taken]
