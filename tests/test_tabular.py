"""Columns of people against the profiles that a caller would send one by one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drugpred import codebook
from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.limits import MAX_ROWS
from drugpred.schemas import Profile
from drugpred.tabular import ColumnError, category_codes, encode, validate

NEO = [score for score in SCORES if score.is_neo]
SCALES = ["standardized", "raw"]


def by_name(inputs):
    return pytest.mark.parametrize("column", inputs, ids=lambda column: column.name)


def columns(n=3, **changes):
    """Columns of people of the first levels, with scores of 0."""
    made = {category.name: np.zeros(n, np.int64) for category in CATEGORIES}
    return made | {score.name: np.zeros(n) for score in SCORES} | changes


def from_people(people):
    """The columns of profiles' content, labels to codes included."""
    made = {
        category.name: category_codes(category, [person[category.name] for person in people]) for category in CATEGORIES
    }
    return made | {score.name: np.array([person[score.name] for person in people]) for score in SCORES}


def near(bound):
    return [math.nextafter(bound, -math.inf), bound, math.nextafter(bound, math.inf)]


def spellings(category):
    known = st.sampled_from([*category.codes])
    spelled = st.builds(
        lambda label, change: change(label),
        known,
        st.sampled_from([str, str.upper, str.lower, str.title, " ".join, lambda label: f"\t{label.replace(' ', '')} "]),
    )
    return st.one_of(known, spelled, spelled, st.sampled_from(["", "zebra", "1", "25"]), st.text(max_size=5))


def values(score, scale):
    if scale == "raw" and score.is_neo:
        possible = st.sampled_from(range(12, 61)).map(float)
        edges = [*near(12), *near(60), *near(36), 11.0, 61.0, 12.5]
    else:
        possible = st.floats(score.lowest, score.highest)
        edges = [*near(score.lowest), *near(score.highest), -0.0, 12.0]
        edges += [
            bound + part * 2.0**-23 for bound in (score.lowest, score.highest) for part in (-1.01, -0.99, 0.99, 1.01)
        ]
    return st.one_of(possible, possible, possible, st.sampled_from([*edges, math.nan, math.inf, -math.inf, 1e308]))


def people(scale):
    """Content of profiles, of which many are possible."""
    person = {category.name: spellings(category) for category in CATEGORIES}
    person |= {score.name: values(score, scale) for score in SCORES}
    mostly = {category.name: st.sampled_from([*category.codes]) for category in CATEGORIES}
    mostly |= {
        score.name: st.sampled_from([12.0, 36.0] if scale == "raw" and score.is_neo else [0.1, -1]) for score in SCORES
    }
    one_off = st.builds(
        lambda person, name, other: person | {name: other[name]},
        st.fixed_dictionaries(mostly),
        st.sampled_from(INPUTS),
        st.fixed_dictionaries(person),
    )
    return st.lists(one_off, min_size=1, max_size=5)


def fields_refused(person, scale):
    try:
        Profile.model_validate(person | {"scale": scale})
    except ValidationError as error:
        return {detail["loc"][0] for detail in error.errors()}
    return set()


@given(data=st.data())
def test_people_in_columns_are_taken_and_refused_as_their_profiles_are(data):
    scale = data.draw(st.sampled_from(SCALES))
    asked = data.draw(people(scale))
    refused = [fields_refused(person, scale) for person in asked]
    malformed = [(name, row) for name in INPUTS for row, fields in enumerate(refused) if name in fields]
    if malformed:
        with pytest.raises(ColumnError) as caught:
            encode(from_people(asked), scale)
        assert (caught.value.field, caught.value.row) == malformed[0]
    else:
        expected = [Profile.model_validate(person | {"scale": scale}).row() for person in asked]
        assert np.array_equal(encode(from_people(asked), scale), expected)


def test_every_respondent_becomes_their_row(real):
    levels = dict(zip(INPUTS, real.X.T, strict=True))
    integers = {category.name: levels[category.name].astype(np.int32) for category in CATEGORIES}
    totals = {
        score.name: np.array([score.raw[score.values.index(value)] for value in levels[score.name]], np.float64)
        for score in NEO
    }
    labels = {
        category.name: category_codes(category, [category.labels[code] for code in integers[category.name]])
        for category in CATEGORIES
    }
    for given_columns, scale in (
        (levels | integers, "standardized"),
        (levels | labels, "standardized"),
        (levels | integers | totals, "raw"),
    ):
        made = encode(given_columns, scale)
        assert (made.dtype, made.flags.c_contiguous) == (np.float64, True)
        assert np.array_equal(made, real.X)


@by_name(CATEGORIES)
@pytest.mark.parametrize("code", [-1, "size", 2**62])
def test_codes_beyond_the_levels_are_refused_with_all_that_exist(column, code):
    size = len(column.labels)
    for level in range(size):
        assert encode(columns(**{column.name: np.array([0, level, 0])}))[1, INPUTS.index(column.name)] == level
    beyond = np.array([0, 0, size if code == "size" else code])
    with pytest.raises(ColumnError) as caught:
        encode(columns(**{column.name: beyond}))
    assert (caught.value.field, caught.value.row) == (column.name, 2)
    assert caught.value.expected == column.one_of


@by_name(SCORES)
def test_single_precision_may_round_a_bound_outwards(column):
    single = np.array([column.lowest, column.highest, 0.25], np.float32)
    wide = encode(columns(**{column.name: single.astype(np.float64)}))
    made = encode(columns(**{column.name: single}))[:, INPUTS.index(column.name)]
    assert made == pytest.approx(single.astype(np.float64), rel=1e-7)
    assert column.lowest <= made[0] < made[2] == 0.25 < made[1] <= column.highest
    assert wide[:, INPUTS.index(column.name)].tolist() == made.tolist()
    for row, infinity in enumerate([-np.inf, np.inf]):
        beyond = single.copy()
        beyond[row] = np.nextafter(beyond[row], np.float32(infinity))
        with pytest.raises(ColumnError) as caught:
            encode(columns(**{column.name: beyond}))
        assert (caught.value.field, caught.value.row) == (column.name, row)


@by_name(NEO)
def test_totals_may_come_in_single_precision(column):
    totals = np.arange(12, 61, dtype=np.float32)
    asked = columns(49, **{score.name: np.full(49, 36.0) for score in NEO} | {column.name: totals})
    assert encode(asked, "raw")[:, INPUTS.index(column.name)].tolist() == list(column.by_total.values())


@pytest.mark.parametrize("n", [1, MAX_ROWS])
def test_a_call_holds_up_to_10000_people(n):
    assert encode(columns(n)).shape == (n, 12)


@pytest.mark.parametrize("n", [0, MAX_ROWS + 1])
def test_a_call_has_a_minimum_and_a_maximum(n):
    with pytest.raises(ColumnError, match="age: expected 1 to 10000 values"):
        encode(columns(n))


@pytest.mark.parametrize("name", INPUTS[1:])
@pytest.mark.parametrize("n", [0, 1, 2, 4])
def test_columns_are_of_one_length(name, n):
    with pytest.raises(ColumnError, match=f"{name}: expected 3 values, the same number as age") as caught:
        encode(columns(**{name: columns(n)[name]}))
    assert (caught.value.field, caught.value.row) == (name, None)


def test_arguments_are_not_changed():
    asked = columns(**{score.name: np.array([12.0, 36.0, 60.0]) for score in NEO})
    before = {name: column.copy() for name, column in asked.items()}
    encode(asked, "raw")
    assert all(np.array_equal(asked[name], before[name]) for name in INPUTS)


MARK = "QZX7531904286"


def test_no_refusal_repeats_a_value():
    with pytest.raises(ColumnError) as caught:
        category_codes(codebook.COUNTRY, ["UK", MARK])
    assert str(caught.value) == f"country, row 1: expected {codebook.COUNTRY.expected}"
    assert caught.value.__cause__ is None
    with pytest.raises(ColumnError) as caught:
        encode(columns(openness=np.array([0, 7531904286, 0.0])))
    assert str(caught.value) == "openness, row 1: expected a number from -3.27393 to 2.90161"


@given(data=st.data())
def test_all_invalid_values_are_reported_at_once(data):
    scale = data.draw(st.sampled_from(SCALES))
    asked = data.draw(people(scale))
    made = from_people([person | {c.name: c.labels[0] for c in CATEGORIES} for person in asked])
    made |= {c.name: np.array([c.codes.get(person[c.name], -1) for person in asked]) for c in CATEGORIES}
    refused = [
        fields_refused(person, scale)
        | {c.name for c in CATEGORIES if person[c.name] not in c.codes}  # here only spelled as published
        for person in asked
    ]
    values, possible = validate(made, scale)
    assert possible.T.tolist() == [[name not in fields for name in INPUTS] for fields in refused]
    assert np.isfinite(values).all()
    good = possible.all(0)
    if good.any():
        assert np.array_equal(values.T[good], encode({name: column[good] for name, column in made.items()}, scale))


def test_any_number_of_people_can_be_checked():
    for n in (0, MAX_ROWS + 1):
        values, possible = validate(columns(n))
        assert values.shape == possible.shape == (12, n)
        assert possible.all()


def test_columns_of_different_length_cannot_be_checked():
    with pytest.raises(ColumnError, match=r"^openness: expected 3 values, the same number as age$"):
        validate(columns(openness=np.zeros(2)))
