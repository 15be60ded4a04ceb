"""Checks of what callers give, before anything is sent."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from drugpred.client.arrays import as_rows
from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.errors import InvalidRequestError
from drugpred.schemas import EXAMPLE, Profile

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


HEADINGS = {column.name: column.column for column in (*CATEGORIES, *SCORES)}
RAW = {"neuroticism": 37, "extraversion": 30, "openness": 45, "agreeableness": 50, "conscientiousness": 22}


def columns(n=1, **others):
    return {name: [value] * n for name, value in (EXAMPLE | others).items()}


@pytest.mark.parametrize("frame_of", [pd.DataFrame, pl.DataFrame])
def test_a_data_frame_is_read_as_profiles_are(frame_of):
    expected = [Profile(**EXAMPLE).row()] * 2
    np.testing.assert_array_equal(as_rows(frame_of(columns(2))), expected)
    decoded = {HEADINGS[name]: values for name, values in columns(2).items()}
    np.testing.assert_array_equal(as_rows(frame_of(decoded | {"LSD": ["CL0", "CL6"]})), expected)


def test_scores_may_be_raw_totals():
    expected = [Profile(**EXAMPLE | RAW, scale="raw").row()]
    np.testing.assert_array_equal(as_rows(pl.DataFrame(columns(**RAW)), "raw"), expected)
    row = [*ROW[:5], *RAW.values(), *ROW[10:]]
    np.testing.assert_array_equal(as_rows([row], "raw"), expected)


def refused(frame):
    with pytest.raises(InvalidRequestError) as raised:
        as_rows(frame)
    ((loc, msg),) = raised.value.detail
    return loc, msg


@pytest.mark.parametrize("frame_of", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(("name", "value"), [("age", 17), ("country", "Atlantis"), ("gender", None), ("openness", 9.0)])
def test_a_value_of_a_data_frame_that_is_not_possible_is_refused_by_place(frame_of, name, value):
    people = columns(3)
    people[name] = [EXAMPLE[name], EXAMPLE[name], value]
    loc, msg = refused(frame_of(people))
    assert loc == (2, name)
    assert msg.startswith("expected ")


def test_a_column_that_is_missing_or_twice_there_is_named():
    assert refused(pl.DataFrame(columns()).drop("gender")) == (("gender",), "expected a column of that name")
    twice = pl.DataFrame(columns() | {"Nscore": [0.1]})
    assert refused(twice) == (("neuroticism",), "expected one column, not several")


@pytest.mark.parametrize("n", [0, 10_001])
def test_a_data_frame_of_another_length_is_refused(n):
    assert refused(pl.DataFrame(columns(n))) == ((), "expected 1 to 10000 rows")
