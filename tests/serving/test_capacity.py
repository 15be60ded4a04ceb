"""What is over the bound is refused, and is not held."""

import pytest

from drugpred.serving.access.policy import OverloadedError
from drugpred.serving.capacity import CapacityLimiter, SharedCapacityLimiter, WriteBacklog


def test_no_more_is_held_than_the_bound():
    bound = CapacityLimiter(10)
    bound.take(4)
    bound.take(6)
    with pytest.raises(OverloadedError):
        bound.take(1)
    bound.give(6)
    with pytest.raises(OverloadedError):
        bound.take(7)
    bound.take(6)


def test_nothing_can_always_be_held():
    bound = CapacityLimiter(1)
    bound.take(1)
    bound.take(0)


def test_of_what_all_share_one_caller_has_a_part():
    bound = SharedCapacityLimiter(4, 2)
    bound.take(1, "one")
    assert not bound.is_share_full("one")
    bound.take(1, "one")
    assert bound.is_share_full("one")
    assert not bound.is_share_full("two")
    with pytest.raises(OverloadedError):
        bound.take(1, "one")
    bound.take(1, "two")
    bound.take(1, None)
    assert bound.is_full()
    assert not bound.is_share_full(None)
    for caller in ("three", None):
        with pytest.raises(OverloadedError):
            bound.take(1, caller)
    bound.give(2, "one")
    bound.take(1, "two")
    assert not bound.is_full()
    bound.give(2, "two")
    bound.give(1, None)
    bound.take(2, "one")


class Transport:
    def __init__(self, size):
        self.size = size

    def get_write_buffer_size(self):
        return self.size


def test_what_is_written_and_what_is_about_to_be_count_as_untaken():
    untaken = WriteBacklog(100)
    slow = Transport(60)
    untaken.transports.add(slow)
    untaken.take(30)
    with pytest.raises(OverloadedError):
        untaken.take(11)
    untaken.take(10)
    untaken.give(40)
    slow.size = 0  # it has taken all
    untaken.take(100)
