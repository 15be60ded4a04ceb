"""Columns of Arrow against the profiles that a caller would send one by one."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from drugpred.bulk.encoding import encode
from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.schemas import EXAMPLE, Profile
from drugpred.tabular import validate


def columns(n, **changes):
    return {name: pa.array([EXAMPLE[name]] * n) for name in INPUTS} | changes


def row_of(person):
    """Return the row that a profile would have; None if it is refused."""
    try:
        return Profile.model_validate(person).row()
    except ValidationError:
        return None


AGES = [18, 24, 25, 34.0, 64, 65, 120, 17, 121, -1, 25.5, 0, 10**12]
LABELS = ["18-24", " 65 + ", "25 - 34", "zebra", "", "18", "twenty"]


@pytest.mark.parametrize(
    "kind",
    [
        pa.int64(),
        pa.float64(),
        pa.uint8(),
        pa.dictionary(pa.int8(), pa.int64()),
        pa.decimal128(38, 0),
        pa.decimal128(20, 1),
        pa.decimal256(50, 30),
        pa.decimal64(15, 1),
        pa.dictionary(pa.int8(), pa.decimal128(38, 0)),
    ],
    ids=str,
)
def test_an_age_in_years_is_that_of_a_profile(kind):
    years = AGES if kind == pa.float64() else [int(age) for age in AGES if age == int(age) and 0 <= age < 256]
    if pa.types.is_dictionary(kind):
        column = pa.array(years).cast(kind.value_type).dictionary_encode()
    else:
        column = pa.array(map(Decimal, years) if pa.types.is_decimal(kind) else years, kind)
    codes = encode(columns(len(years), age=column))["age"]
    expected = [row_of(EXAMPLE | {"age": age}) for age in years]
    assert codes.tolist() == [-1 if row is None else row[0] for row in expected]
    assert {-1, 0, 1, 4, 5} <= set(codes.tolist())


def test_an_age_in_text_may_be_a_band_or_years():
    texts = ["18-24", "65+", " 25 ", "25.0", "17", "121", "25.5", "nan", "1e400", "2_5", "٢٥", "", None]
    codes = encode(columns(len(texts), age=pa.array(texts, pa.string())))["age"]
    assert codes.tolist() == [0, 5, 1, 1, *[-1] * 9]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary_view(),
        pa.binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_labels_are_those_of_a_profile(category, kind):
    texts = [*category.codes, *(f" {label.upper()} " for label in category.labels), "zebra", "", None]
    column = pa.array(texts).cast(pa.binary()).cast(kind) if "binary" in str(kind) else pa.array(texts, kind)
    codes = encode(columns(len(texts), **{category.name: column}))[category.name]
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
    texts = ["0.55555", " -1 ", "+3", "15e-1", "1_0", "٣", "one", "", None]
    scores = encode(columns(len(texts), neuroticism=pa.array(texts, pa.string())))["neuroticism"]
    assert np.array_equal(scores, [0.55555, -1, 3, 1.49158, *[np.nan] * 5], equal_nan=True)


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.decimal128(21, 2), pa.int64()]
)
def test_scores_of_any_kind_of_number(kind):
    scores = encode(columns(4, openness=pa.array([1, 2, 12, None], pa.int64()).cast(kind)))["openness"]
    assert np.array_equal(scores, [1, 2, 12, np.nan], equal_nan=True)


def test_single_precision_stays_so_that_its_bounds_are_known():
    assert encode(columns(1, openness=pa.array([0.51234], pa.float32())))["openness"].dtype == np.float32


def test_a_whole_row_is_that_of_a_profile():
    person = EXAMPLE | {score.name: score.values[3] for score in SCORES}
    values, possible = validate(encode({name: pa.array([person[name]] * 2) for name in INPUTS}))
    assert possible.all()
    assert values.T.tolist() == [Profile(**person).row()] * 2


KINDS = [pa.float64(), pa.float32(), pa.string()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("decimals", [2, 3, 4])
def test_rounded_scores_stand_for_the_published_ones(kind, decimals):
    for score in SCORES:
        given = pa.array(np.round([*score.values, np.nan], decimals), from_pandas=True).cast(kind)
        scores = encode(columns(len(given), **{score.name: given}))[score.name]
        assert np.array_equal(scores, [*score.values, np.nan], equal_nan=True)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_tolerance_is_half_a_unit_of_the_last_decimal(kind):
    highest = SCORES[0].highest  # 3.27393
    given = [3.3, 3.33, 3.28, 3.27, 3.2739, 3.2738, 3.2745, 3.1, -3.5, -3.51, 2.9]
    expected = [highest, 3.33, 3.28, highest, highest, 3.2738, 3.2745, 3.1, -3.46436, -3.51, 2.9]
    scores = encode(columns(len(given), neuroticism=pa.array(given).cast(kind)))["neuroticism"]
    assert scores == pytest.approx(expected, abs=2e-7)
    _, possible = validate(encode(columns(len(given), neuroticism=pa.array(given).cast(kind))))
    assert possible[INPUTS.index("neuroticism")].tolist() == [
        value not in (3.33, 3.28, 3.2745, -3.51) for value in given
    ]


@pytest.mark.parametrize("kind", [*KINDS, pa.decimal128(20, 5)], ids=str)
@pytest.mark.parametrize("decimals", [2, 5])
def test_quantified_categories_are_their_levels(kind, decimals):
    for category in CATEGORIES:
        given = pa.array([*(round(value, decimals) for value in category.values), None]).cast(kind)
        codes = encode(columns(len(given), **{category.name: given}))[category.name]
        assert codes.tolist() == [*range(len(category.labels)), -1]


def test_numbers_that_may_be_codes_of_levels_or_of_two_are_no_quantified_categories():
    for category in CATEGORIES:
        given = [-1.0, 0.0, 1.0, 2.0, 0.1, 0.2, category.values[0] + 0.001, 1e300, float("nan"), float("inf")]
        codes = encode(columns(len(given), **{category.name: pa.array(given)}))[category.name]
        assert codes.tolist() == [-1] * len(given)
