"""Checks of what callers give, before anything is sent."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from drugpred.client.arrays import _frame, _rows_of, as_rows
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


RAW = {"neuroticism": 37, "extraversion": 30, "openness": 45, "agreeableness": 50, "conscientiousness": 22}
PEOPLE = [EXAMPLE, EXAMPLE | {"age": 70, "gender": "male", "country": "new zealand", "openness": -1.42424}]
WRITTEN = {
    "as profiles": PEOPLE,
    "with labels of age": [person | {"age": "35-44"} for person in PEOPLE],
    "raw totals": [person | RAW | {"scale": "raw"} for person in PEOPLE],
}
HEADINGS = {column.name: column.column for column in (*CATEGORIES, *SCORES)}


def read(frame):
    return _rows_of(_frame(frame))


@pytest.mark.parametrize("frame_of", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("people", WRITTEN.values(), ids=WRITTEN)
def test_a_data_frame_is_read_as_profiles_are(frame_of, people):
    columns = {name: [person[name] for person in people] for name in people[0]}
    if frame_of is pl.DataFrame and columns["age"][0] == 25:
        columns["age"] = [25, 70]
    expected = [Profile.model_validate(person).row() for person in people]
    np.testing.assert_array_equal(read(frame_of(columns)), expected)
    decoded = {HEADINGS.get(name, name): values for name, values in columns.items()}
    np.testing.assert_array_equal(read(frame_of(decoded | {"LSD": ["CL0", "CL6"]})), expected)


def test_numbers_of_a_column_of_objects_may_be_of_numpy():
    frame = pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in EXAMPLE.items()})
    frame["age"] = pd.Series([np.int64(25)], dtype=object)
    np.testing.assert_array_equal(read(frame), [Profile(**EXAMPLE).row()])


def refused(frame):
    with pytest.raises(InvalidRequestError) as raised:
        read(frame)
    return [(detail.loc, detail.msg) for detail in raised.value.detail]


@pytest.mark.parametrize("frame_of", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(("name", "value"), [("age", 17), ("country", "Atlantis"), ("gender", None), ("openness", 9.0)])
def test_a_value_that_is_not_possible_is_refused_by_place(frame_of, name, value):
    columns = {each: [EXAMPLE[each]] * 3 for each in INPUTS}
    columns[name] = [EXAMPLE[name], EXAMPLE[name], value]
    (((loc, msg)),) = refused(frame_of(columns))
    assert loc == (2, name)
    assert msg.startswith("expected ")


def test_columns_that_are_missing_or_twice_there_are_named():
    columns = {name: [value] for name, value in EXAMPLE.items()}
    assert refused(pl.DataFrame(columns).drop("age", "gender")) == [
        (("age",), "expected a column"),
        (("gender",), "expected a column"),
    ]
    assert refused(pl.DataFrame(columns | {"Nscore": [0.1]})) == [
        (("neuroticism",), "expected one column, not several")
    ]


@pytest.mark.parametrize("n", [0, 10_001])
def test_a_data_frame_of_another_length_is_refused(n):
    assert refused(pl.DataFrame({name: [value] * n for name, value in EXAMPLE.items()})) == [
        ((), "expected 1 to 10000 rows")
    ]
