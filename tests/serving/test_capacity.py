"""Amounts over the limit are refused, and not counted."""

import pytest

from drugpred.errors import OverloadedError
from drugpred.serving.capacity import CapacityLimiter, SharedCapacityLimiter, WriteBacklog, dispensable


def test_the_amount_in_use_is_bounded():
    bound = CapacityLimiter(10)
    bound.acquire(4)
    bound.acquire(6)
    with pytest.raises(OverloadedError):
        bound.acquire(1)
    bound.release(6)
    with pytest.raises(OverloadedError):
        bound.acquire(7)
    bound.acquire(6)


def test_nothing_can_always_be_held():
    bound = CapacityLimiter(1)
    bound.acquire(1)
    bound.acquire(0)


def test_one_caller_has_a_part_of_the_shared_limit():
    bound = SharedCapacityLimiter(4, 2)
    bound.acquire(1, "one")
    assert not bound.is_share_full("one")
    bound.acquire(1, "one")
    assert bound.is_share_full("one")
    assert not bound.is_share_full("two")
    with pytest.raises(OverloadedError):
        bound.acquire(1, "one")
    bound.acquire(1, "two")
    bound.acquire(1, None)
    assert bound.is_full()
    assert not bound.is_share_full(None)
    for caller in ("three", None):
        with pytest.raises(OverloadedError):
            bound.acquire(1, caller)
    bound.release(2, "one")
    bound.acquire(1, "two")
    assert not bound.is_full()
    bound.release(2, "two")
    bound.release(1, None)
    bound.acquire(2, "one")


class Waiting:
    def __init__(self, peer):
        self.peer = lambda: peer


@pytest.mark.parametrize(
    ("peers", "expected"),
    [("a", 0), ("ab", 0), ("abb", 1), ("aabb", 0), ("babcb", 0), ("abcbb", 1), ("abbaaa", 0), ("abcd", 0)],
)
def test_the_oldest_call_is_dispensable_or_that_of_a_connection_with_most_of_them(peers, expected):
    calls = [Waiting(peer) for peer in peers]
    assert dispensable(calls) is calls[expected]


class Transport:
    def __init__(self, size):
        self.size = size

    def get_write_buffer_size(self):
        return self.size


def test_written_and_pending_answers_count_as_unread():
    untaken = WriteBacklog(100)
    slow = Transport(60)
    untaken.transports.add(slow)
    untaken.acquire(30)
    with pytest.raises(OverloadedError):
        untaken.acquire(11)
    untaken.acquire(10)
    untaken.release(40)
    slow.size = 0  # it has taken all
    untaken.acquire(100)
