"""Columns of Arrow against the profiles that a caller would send one by one."""

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from drugpred.bulk.encoding import encode, expected
from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.columns import check
from drugpred.schemas import EXAMPLE, Profile


def columns(n, **changes):
    return {name: pa.array([EXAMPLE[name]] * n) for name in INPUTS} | changes


def row_of(person):
    """Return the row that a profile would have; None where it is refused."""
    try:
        return Profile.model_validate(person).row()
    except ValidationError:
        return None


AGES = [18, 24, 25, 34.0, 64, 65, 120, 17, 121, -1, 25.5, 0, 10**12]
LABELS = ["18-24", " 65 + ", "25 - 34", "zebra", "", "18", "twenty"]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.uint8(), pa.dictionary(pa.int8(), pa.int64())])
def test_an_age_in_years_is_that_of_a_profile(kind):
    years = AGES if kind == pa.float64() else [int(age) for age in AGES if age == int(age) and 0 <= age < 256]
    column = pa.array(years).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(years, kind)
    codes = encode(columns(len(years), age=column))["age"]
    expected = [row_of(EXAMPLE | {"age": age}) for age in years]
    assert codes.tolist() == [-1 if row is None else row[0] for row in expected]
    assert {-1, 0, 1, 4, 5} <= set(codes.tolist())


def test_an_age_in_text_may_be_a_band_or_years():
    texts = ["18-24", "65+", " 25 ", "25.0", "17", "121", "25.5", "nan", "1e400", "2_5", "٢٥", "", None]
    codes = encode(columns(len(texts), age=pa.array(texts, pa.string())))["age"]
    assert codes.tolist() == [0, 5, 1, 1, *[-1] * 9]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_labels_are_those_of_a_profile(category, kind):
    texts = [*category.codes, *(f" {label.upper()} " for label in category.labels), "zebra", "", None]
    codes = encode(columns(len(texts), **{category.name: pa.array(texts, kind)}))[category.name]
    assert codes.tolist() == [
        -1 if row is None else row[INPUTS.index(category.name)]
        for row in (row_of(EXAMPLE | {category.name: text}) for text in texts)
    ]


def test_a_part_of_a_column_is_taken_as_it_is():
    whole = pa.array(["F", "M", None, "M"]).dictionary_encode()
    assert encode(columns(2, gender=whole.slice(1, 2)))["gender"].tolist() == [1, -1]


def test_text_that_is_no_utf8_is_no_label():
    broken = pa.array([b"\xff", b"M"]).view(pa.string())
    assert encode(columns(2, gender=broken))["gender"].tolist() == [-1, 1]


def test_scores_in_text_are_numbers_or_missing():
    texts = ["0.5", " -1 ", "+2", "1e-1", "1_0", "٣", "one", "", None]
    scores = encode(columns(len(texts), neuroticism=pa.array(texts, pa.string())))["neuroticism"]
    assert np.array_equal(scores, [0.5, -1, 2, 0.1, *[np.nan] * 5], equal_nan=True)


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.decimal128(21, 2), pa.int64()]
)
def test_scores_of_any_kind_of_number(kind):
    scores = encode(columns(3, openness=pa.array([1, 0, None], pa.int64()).cast(kind)))["openness"]
    assert np.array_equal(scores, [1, 0, np.nan], equal_nan=True)


def test_single_precision_stays_so_that_its_bounds_are_known():
    assert encode(columns(1, openness=pa.array([0.5], pa.float32())))["openness"].dtype == np.float32


def test_a_whole_row_is_that_of_a_profile():
    values, possible = check(encode(columns(2)))
    assert possible.all()
    assert values.T.tolist() == [Profile(**EXAMPLE).row()] * 2


@pytest.mark.parametrize("scale", ["standardized", "raw"])
@pytest.mark.parametrize("field", INPUTS)
def test_what_was_expected_is_told_as_by_a_profile(field, scale):
    if field == "age":
        assert expected(field, scale).startswith("a whole number from 18 to 120, or one of 18-24 | ")
    elif field in [score.name for score in SCORES if score.is_neo] and scale == "raw":
        assert expected(field, scale) == "a whole number from 12 to 60"
    else:
        (column,) = (column for column in (*CATEGORIES, *SCORES) if column.name == field)
        assert expected(field, scale) == "one of " * (column in CATEGORIES) + column.expected
