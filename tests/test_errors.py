"""Errors that carry more than a message."""

import pickle

import pytest

from drugpred import errors
from drugpred.errors import Detail, RateLimitedError, RefusedError, UnavailableError


def test_the_tree_is_as_it_is_drawn():
    drawn = [line.split() for line in errors.__doc__.splitlines() if "── " in line]
    names = {next(word for word in words if word.endswith("Error")) for words in drawn} | {"DrugpredError"}
    assert names == {name for name in errors.__all__ if name.endswith("Error")}


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        ([Detail(("age",), "expected 18 or more")], "age: expected 18 or more"),
        ([Detail(("profiles", 3, "age"), "a"), Detail((), "b")], "profiles.3.age: a; b"),
        ([Detail((i,), "a") for i in range(5)], "0: a; 1: a; 2: a; and 2 more"),
    ],
)
def test_refusals_read_well(detail, text):
    assert str(RefusedError(detail)) == f"the request is malformed: {text}"


@pytest.mark.parametrize(
    "error", [RefusedError([Detail(("age",), "a")]), UnavailableError("a", 3.0), RateLimitedError("b", 7.0)]
)
def test_errors_pass_between_processes(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
