"""Checks of what callers give, before anything is sent."""

import numpy as np
import pandas as pd
import pytest

from drugpred.client.arrays import as_rows
from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.errors import InvalidRequestError

ROW = [1, 0, 6, 5, 6, 0.31, -0.58, 1.24, -0.3, -0.14, 0.53, 0.77]


@pytest.mark.parametrize("convert", [np.copy, np.float32, np.ndarray.tolist, pd.DataFrame])
def test_every_real_respondent_is_taken(real, convert):
    np.testing.assert_allclose(as_rows(convert(real.X)), real.X, rtol=1e-6)


def test_a_bound_may_be_of_float32():
    chunk = np.array([ROW, ROW], np.float32)
    chunk[1, 5:] = [score.highest for score in SCORES]
    assert (chunk[1].astype(np.float64)[5:] > [score.highest for score in SCORES]).any()
    np.testing.assert_allclose(as_rows(chunk), chunk, rtol=1e-6)


def test_a_chunk_stays_as_it_was():
    chunk = np.array([[*ROW[:3], 0.5, *ROW[4:]]])
    before = chunk.copy()
    with pytest.raises(InvalidRequestError):
        as_rows(chunk)
    np.testing.assert_array_equal(chunk, before)


IMPOSSIBLE = [(place, value) for place in range(len(INPUTS)) for value in (-9, 99, np.nan, np.inf, -np.inf)]
IMPOSSIBLE += [(place, 0.5) for place in range(len(CATEGORIES))]


@pytest.mark.parametrize(("place", "value"), IMPOSSIBLE)
def test_values_that_are_not_possible_are_refused_by_place(place, value):
    chunk = np.array([ROW] * 3)
    chunk[2, place] = value
    with pytest.raises(InvalidRequestError) as refused:
        as_rows(chunk)
    ((loc, msg),) = refused.value.detail
    assert loc == (2, INPUTS[place])
    assert msg.startswith("expected ")


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (np.zeros((3, 11)), "rows of 12 numbers"),
        (np.zeros(12), "rows of 12 numbers"),
        (np.zeros((2, 3, 12)), "rows of 12 numbers"),
        (0.5, "rows of 12 numbers"),
        ([], "rows of 12 numbers"),
        ([ROW, ROW[:11]], "rows of numbers"),
        ([["x"] * 12], "rows of numbers"),
        (None, "rows of 12 numbers"),
        (np.zeros((0, 12)), "1 to 10000"),
        (np.tile(ROW, (10_001, 1)), "1 to 10000"),
    ],
)
def test_shapes_that_are_no_chunks_are_refused(chunk, expected):
    with pytest.raises(InvalidRequestError, match=expected):
        as_rows(chunk)
