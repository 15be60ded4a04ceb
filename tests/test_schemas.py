"""Every rule about what a request may hold, and what a refusal may say."""

import csv
import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drugpred import codebook
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES, SINGLE, WINDOWS, describe
from drugpred.data import respondents
from drugpred.errors import Fault
from drugpred.limits import MAX_PROFILES
from drugpred.schemas import EXAMPLE, Batch, Profile, faults

NEO = [score for score in SCORES if score.is_neo]
OTHERS = [score for score in SCORES if not score.is_neo]
OTHER_NAMES = {
    "neuroticism": "nscore",
    "extraversion": "escore",
    "openness": "oscore",
    "agreeableness": "ascore",
    "conscientiousness": "cscore",
    "impulsivity": "impulsiveness",
}
RAW = {"scale": "raw"} | {score.name: 36 for score in NEO}
HUGE = 10**400


def by_name(columns):
    return pytest.mark.parametrize("column", columns, ids=lambda column: column.name)


def renamed(name, other):
    """The example with one input under another name."""
    return {other if key == name else key: value for key, value in EXAMPLE.items()}


def read(content):
    """Read a request's body, as the service does."""
    return Profile.model_validate_json(json.dumps(content))


def row(**changes):
    return dict(zip(INPUTS, read(EXAMPLE | changes).row(), strict=True))


def refusals(content, model=Profile):
    """Where and why a body is refused: all that an answer or a log may hold."""
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json(text)
    return caught.value.errors(include_input=False, include_context=False)


def places(content, model=Profile):
    return [refusal["loc"] for refusal in refusals(content, model)]


def test_the_example_becomes_a_row():
    expected = [1, 0, 6, 5, 6, 0.31, -0.58, 1.24, -0.30, -0.14, 0.53, 0.77]
    assert read(EXAMPLE).row() == expected


def test_drugs_and_windows_are_those_of_the_codebook():
    assert get_args(codebook.Drug) == DRUGS
    assert get_args(codebook.Window) == WINDOWS


@pytest.mark.parametrize("name", INPUTS)
def test_every_input_must_be_given(name):
    assert places({key: value for key, value in EXAMPLE.items() if key != name}) == [(name,)]


@pytest.mark.parametrize("name", [*INPUTS, "drugs", "window", "include", "scale"])
@pytest.mark.parametrize("value", [None, {}, {"a": 1}, [[]], True, False, "", " "], ids=repr)
def test_values_of_another_type_are_refused_with_their_place(name, value):
    assert {place[0] for place in places(EXAMPLE | {name: value})} == {name}


@pytest.mark.parametrize("name", ["zebra", "id", "Age", "semeron", "", "age ", "impulsive", "ss"])
def test_unknown_fields_are_refused(name):
    assert places(EXAMPLE | {name: 0.1}) == [(name,)]


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", "1", '"a"', "{}}", '{"age": 25,}', "\x00", r'{"age": "\ud800"}']
)
def test_json_other_than_an_object_is_refused(body):
    assert places(body) == [()]


# --- categories


@by_name(CATEGORIES)
@pytest.mark.parametrize(
    "spell",
    [
        str,
        str.upper,
        str.lower,
        lambda label: f" {label}\n",
        lambda label: label.replace(" ", ""),
        lambda label: " ".join(label),
    ],
    ids=["as published", "upper", "lower", "padded", "unspaced", "spaced"],
)
def test_labels_match_in_any_case_and_spacing(column, spell):
    for spelling, code in column.codes.items():
        assert row(**{column.name: spell(spelling)})[column.name] == code


@by_name(CATEGORIES)
@pytest.mark.parametrize("value", ["zebra", "0", 0, 3, 17.5, ["White"], {"label": "White"}], ids=repr)
def test_an_unknown_level_is_refused_with_all_that_exist(column, value):
    (refusal,) = refusals(EXAMPLE | {column.name: value})
    assert refusal["loc"] == (column.name,)
    assert all(label in refusal["msg"] for label in column.labels)


@pytest.mark.parametrize(
    ("age", "band"),
    [
        (18, "18-24"),
        (24, "18-24"),
        (25, "25-34"),
        (34, "25-34"),
        (35, "35-44"),
        (44, "35-44"),
        (45, "45-54"),
        (54, "45-54"),
        (55, "55-64"),
        (64, "55-64"),
        (65, "65+"),
        (120, "65+"),
        (25.0, "25-34"),
        ("25-34", "25-34"),
        (" 25 - 34 ", "25-34"),
        ("65 +", "65+"),
    ],
)
def test_an_age_is_a_whole_number_or_a_band(age, band):
    assert row(age=age)["age"] == codebook.AGE.labels.index(band)


@pytest.mark.parametrize("age", [17, 17.99, 0, -25, 121, 25.5, HUGE, "25", "25.0", "18", "17-24", True, False], ids=str)
def test_any_other_age_is_refused(age):
    assert places(EXAMPLE | {"age": age}) == [("age",)]


@pytest.mark.parametrize("age", [17, 25.5, "25", "17-24", None, [25], {}, True])
def test_an_age_error_names_all_accepted_values(age):
    with pytest.raises(ValidationError) as caught:
        Profile.model_validate(EXAMPLE | {"age": age})
    (fault,) = faults(caught.value)
    bands = "18-24 | 25-34 | 35-44 | 45-54 | 55-64 | 65+"
    assert fault.msg == f"expected a whole number from 18 to 120, or one of {bands}"


# --- scores


@by_name(SCORES)
def test_scores_are_accepted_up_to_the_extremes_of_the_codebook(column):
    assert row(**{column.name: column.lowest})[column.name] == column.lowest
    assert row(**{column.name: column.highest})[column.name] == column.highest


@by_name(SCORES)
def test_scores_just_beyond_the_extremes_are_refused(column):
    beyond = (
        column.lowest - 1.01 * SINGLE,
        column.highest + 1.01 * SINGLE,
        -100,
        100,
        HUGE,
        -HUGE,
    )
    assert [places(EXAMPLE | {column.name: value}) for value in beyond] == [[(column.name,)]] * len(beyond)


@by_name(SCORES)
def test_extremes_that_passed_through_single_precision_are_the_extremes(column):
    for bound in (column.lowest, column.highest):
        single = np.float32(bound).item()
        expected = min(max(single, column.lowest), column.highest)
        assert row(**{column.name: single})[column.name] == expected == pytest.approx(bound, abs=SINGLE)


@given(data=st.data())
def test_scores_keep_their_exact_value(data):
    values = {score.name: data.draw(st.floats(score.lowest, score.highest)) for score in SCORES}
    found = row(**values)
    assert {name: found[name] for name in values} == values


@by_name(SCORES)
@pytest.mark.parametrize("value", ["0.31", "", "high", True, None, [0.31]], ids=repr)
def test_a_score_is_a_number(column, value):
    assert {place[0] for place in places(EXAMPLE | {column.name: value})} == {column.name}


@pytest.mark.parametrize("name", ["age", *(score.name for score in SCORES)])
@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("scale", ["standardized", "raw"])
def test_numbers_that_are_not_finite_are_refused(name, literal, scale):
    content = EXAMPLE | (RAW if scale == "raw" else {})
    body = json.dumps(content | {name: "here"}).replace('"here"', literal)
    assert places(body) == [(name,)]


@pytest.mark.parametrize(("name", "other"), OTHER_NAMES.items())
def test_scores_have_another_name(name, other):
    assert read(renamed(name, other)) == read(EXAMPLE)
    (place,) = places(renamed(name, other) | {other: 99})
    assert place in {(name,), (other,)}


@pytest.mark.parametrize(("name", "other"), OTHER_NAMES.items())
def test_both_names_at_once_are_refused_even_where_they_agree(name, other):
    assert places(EXAMPLE | {other: EXAMPLE[name]}) == [(other,)]
    assert places({other: EXAMPLE[name]} | EXAMPLE) == [(other,)]


@pytest.mark.parametrize("scale", ["standardized", "raw"])
@by_name([*codebook.CATEGORIES, *SCORES])
def test_messages_are_those_of_the_codebook(column, scale):
    (fault,) = refusals(EXAMPLE | (RAW if scale == "raw" else {}) | {column.name: -1000})
    assert fault["msg"] == f"expected {column.expected(scale) if column in SCORES else column.expected}"
    if column.name == "neuroticism":
        numbers = {"standardized": "a number from -3.46436 to 3.27393", "raw": "a whole number from 12 to 60"}
        assert fault["msg"] == f"expected {numbers[scale]}"


# --- raw totals


@by_name(NEO)
def test_raw_totals_are_converted_by_the_published_table(column):
    expected = dict(zip(range(12, 61), np.interp(range(12, 61), column.raw, column.values), strict=True))
    expected |= dict(zip(column.raw, column.values, strict=True))
    found = {total: row(**RAW | {column.name: total})[column.name] for total in range(12, 61)}
    assert found == pytest.approx(expected, abs=1e-12)
    assert all(found[total] == value for total, value in zip(column.raw, column.values, strict=True))


@by_name(NEO)
@pytest.mark.parametrize("total", [11, 61, 0, -12, 36.5, 12.000001, HUGE, "36", True], ids=str)
def test_other_raw_totals_are_refused(column, total):
    assert places(EXAMPLE | RAW | {column.name: total}) == [(column.name,)]


def test_a_raw_total_may_be_written_with_a_point():
    assert row(**RAW | {"openness": 36.0}) == row(**RAW | {"openness": 36})


@by_name(OTHERS)
def test_impulsivity_and_sensation_seeking_stay_standardized(column):
    assert row(**RAW | {column.name: 0.123})[column.name] == 0.123
    assert places(EXAMPLE | RAW | {column.name: 36}) == [(column.name,)]


def test_the_scale_holds_wherever_it_stands():
    content = EXAMPLE | RAW
    first = {"scale": "raw"} | {key: value for key, value in content.items() if key != "scale"}
    last = {key: value for key, value in content.items() if key != "scale"} | {"scale": "raw"}
    assert read(first) == read(last)


def test_totals_are_refused_without_the_raw_scale():
    content = {key: value for key, value in (EXAMPLE | RAW).items() if key != "scale"}
    assert places(content) == [(score.name,) for score in NEO]
    assert places(EXAMPLE | {"scale": "raw"}) == [(score.name,) for score in NEO]


# --- options of the prediction


def test_all_drugs_within_a_decade_are_predicted_by_default():
    profile = read(EXAMPLE)
    assert (profile.drugs, profile.window, profile.include) == (set(DRUGS), "decade", set())


@pytest.mark.parametrize("drugs", [["lsd"], ["lsd", "lsd"], list(DRUGS), list(reversed(DRUGS))])
def test_drugs_may_be_chosen(drugs):
    assert read(EXAMPLE | {"drugs": drugs}).drugs == set(drugs)


@pytest.mark.parametrize("window", WINDOWS)
def test_the_window_may_be_chosen(window):
    assert read(EXAMPLE | {"window": window}).window == window


@pytest.mark.parametrize("include", [[], ["windows"], ["explanation"], ["explanation", "windows"]])
def test_parts_to_include_may_be_chosen(include):
    assert read(EXAMPLE | {"include": include}).include == set(include)


@pytest.mark.parametrize(
    "change",
    [
        {"drugs": []},
        {"drugs": ["zebra"]},
        {"drugs": ["lsd", "zebra"]},
        {"drugs": ["LSD"]},
        {"drugs": ["semeron"]},
        {"drugs": "lsd"},
        {"drugs": [1]},
        {"window": "fortnight"},
        {"window": ["day"]},
        {"include": ["zebra"]},
        {"include": "windows"},
        {"scale": "zebra"},
        {"scale": 1},
    ],
    ids=str,
)
def test_unknown_options_are_refused(change):
    assert {place[0] for place in places(EXAMPLE | change)} == set(change)


# --- batches


@pytest.mark.parametrize("n", [1, 2, MAX_PROFILES])
def test_a_batch_holds_up_to_1000_profiles(n):
    assert len(Batch.model_validate_json(json.dumps({"profiles": [EXAMPLE] * n})).profiles) == n


@pytest.mark.parametrize("n", [0, MAX_PROFILES + 1])
def test_a_batch_has_a_minimum_and_a_maximum(n):
    assert places({"profiles": [EXAMPLE] * n}, Batch) == [("profiles",)]


def test_profiles_of_a_batch_are_refused_by_their_place():
    profiles = [EXAMPLE, EXAMPLE | {"age": 17}, EXAMPLE, EXAMPLE | {"gender": "zebra", "window": "zebra"}]
    assert places({"profiles": profiles}, Batch) == [
        ("profiles", 1, "age"),
        ("profiles", 3, "gender"),
        ("profiles", 3, "window"),
    ]


@pytest.mark.parametrize("body", [{}, {"profiles": EXAMPLE}, {"profiles": [EXAMPLE], "zebra": 1}, [EXAMPLE], EXAMPLE])
def test_a_batch_is_an_object_of_profiles(body):
    assert places(body, Batch)


# --- real respondents


def test_every_respondent_of_the_decoded_file_becomes_the_row_that_training_reads(uci_path, decoded_path):
    with decoded_path.open(newline="", encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    rows = [
        read(
            {category.name: record[category.column] for category in CATEGORIES}
            | {score.name: float(record[score.column]) for score in SCORES}
        ).row()
        for record in records
    ]
    assert len(rows) == 1884
    decoded, uci = respondents.read(decoded_path), respondents.read(uci_path)
    assert [int(record["ID"]) for record in records] == decoded.frame.index.tolist()
    assert np.array_equal(rows, decoded.X)
    assert np.array_equal(rows, uci.frame.loc[decoded.frame.index, list(INPUTS)].to_numpy())


def test_every_respondent_of_the_uci_file_is_accepted_by_label_and_raw_total(real):
    assert len(real) == 1885
    for x in real.X:
        values = dict(zip(INPUTS, x.tolist(), strict=True))
        labels = {category.name: category.labels[int(values[category.name])] for category in CATEGORIES}
        totals = {score.name: score.raw[score.values.index(values[score.name])] for score in NEO}
        assert describe(x.tolist()) == values | labels
        assert read(values | labels).row() == x.tolist()
        assert read(values | labels | totals | {"scale": "raw"}).row() == x.tolist()


# --- silence

MARK = "QZX7531904286"
marked = st.sampled_from([MARK, f" {MARK} ", 7531904286, -7531904286.5, 7531904286e300, f"25-34{MARK}"])
anything_marked = st.recursive(marked, lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=4)


def silent(refusal_text):
    return "7531904286" not in refusal_text and "QZX" not in refusal_text


@given(
    changes=st.dictionaries(
        st.sampled_from([*EXAMPLE, "drugs", "window", "include", "scale"]), anything_marked, min_size=1
    )
)
def test_no_refusal_repeats_a_value(changes):
    for content, model in ((EXAMPLE | changes, Profile), ({"profiles": [EXAMPLE | changes]}, Batch)):
        text = json.dumps(content)
        assert silent(json.dumps(refusals(text, model)))
        with pytest.raises(ValidationError) as caught:
            model.model_validate_json(text)
        assert silent(str(caught.value))
        assert silent(repr(caught.value))


def test_of_an_unknown_field_only_the_place_is_reported():
    with pytest.raises(ValidationError) as caught:
        Batch.model_validate_json(json.dumps({"profiles": [EXAMPLE, EXAMPLE | {MARK: 1}]}))
    assert faults(caught.value) == [Fault(("profiles", 1), "expected no unknown field", "extra_forbidden")]


@given(end=st.integers(0, 400), junk=st.sampled_from(["", "\x00", "}", '"', MARK, "\\u12", "[[", "\udcff"]))
def test_no_refusal_of_broken_json_repeats_a_part_of_it(end, junk):
    body = json.dumps(EXAMPLE | {"gender": MARK, "age": MARK, "neuroticism": 7531904286})[:end] + junk
    with pytest.raises(ValidationError) as caught:
        Profile.model_validate_json(body.encode("utf-8", "surrogateescape"))
    assert silent(str(caught.value))
    assert silent(json.dumps(caught.value.errors(include_input=False, include_context=False)))
