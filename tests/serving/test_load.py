"""What is over the bound is refused, and is not held."""

import pytest

from drugpred.serving.admission import OverloadedError
from drugpred.serving.load import Bound


def test_no_more_is_held_than_the_bound():
    bound = Bound(10)
    bound.take(4)
    bound.take(6)
    with pytest.raises(OverloadedError):
        bound.take(1)
    bound.give(6)
    with pytest.raises(OverloadedError):
        bound.take(7)
    bound.take(6)


def test_nothing_can_always_be_held():
    bound = Bound(1)
    bound.take(1)
    bound.take(0)
