"""Names of columns."""

import pytest

from drugpred.bulk.column_mapping import map_columns
from drugpred.codebook import INPUTS
from drugpred.data.parsing import HEADINGS
from drugpred.errors import DataError


def test_names_of_a_profile_are_found():
    assert map_columns(INPUTS) == (dict(zip(INPUTS, INPUTS, strict=True)), None, ())


def test_headings_of_the_decoded_csv_are_found_and_its_drugs_passed_over():
    inputs, key, _ = map_columns(tuple(HEADINGS.values()))
    assert inputs == {name: HEADINGS[name] for name in INPUTS}
    assert key == "ID"


def test_other_names_are_found_in_any_case_spacing_and_order():
    others = {"neuroticism": " NSCORE", "impulsivity": "Impulsiveness ", "sensation_seeking": "ss", "age": "AGE"}
    names = [others.get(name, name) for name in reversed(INPUTS)]
    assert map_columns([*names, " Id "]) == ({name: others.get(name, name) for name in INPUTS}, " Id ", ())


@pytest.mark.parametrize("index", ["", " ", "Unnamed: 0", "index", "level_0", "__index_level_0__"])
def test_columns_of_pandas_index_are_passed_over(index):
    assert map_columns([index, *INPUTS]) == map_columns(INPUTS)


def test_a_misspelt_heading_of_copies_is_known():
    names = ["impuslive" if name == "impulsivity" else name for name in INPUTS]
    assert map_columns(names).inputs["impulsivity"] == "impuslive"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (INPUTS[1:], "line 1: expected columns for age"),
        ((*INPUTS, "e-mail"), "line 1: expected only the inputs and an id, found 'e-mail'"),
        ((*INPUTS, "scale"), "line 1: expected only the inputs and an id, found 'scale'"),
        ((*INPUTS, "age"), "line 1: expected one column for age, found several"),
        ((*INPUTS, "Nscore"), "line 1: expected one column for neuroticism, found several"),
        ((*INPUTS, "id", "ID"), "line 1: expected one column for id, found several"),
        ((), "line 1: expected columns for age, gender"),
    ],
)
def test_other_columns_are_refused(names, message):
    with pytest.raises(DataError) as caught:
        map_columns(names)
    assert str(caught.value).startswith(message)


def test_columns_to_keep_may_have_any_name():
    mapping = map_columns([*INPUTS, "e-mail", "", "Cannabis", "ID"], ["e-mail", "", "Cannabis", "age"])
    names = {**{name: name for name in INPUTS}, "ID": "id"}
    assert mapping.names() == names | {"e-mail": "e-mail", "": "", "Cannabis": "Cannabis"}
    assert mapping.keep == ("e-mail", "", "Cannabis", "age")


@pytest.mark.parametrize("names", [INPUTS, (*INPUTS, "site", "site"), (*INPUTS, "Site")])
def test_a_column_to_keep_occurs_once(names):
    with pytest.raises(DataError, match=r"^line 1: expected (one column 'site' to keep|only the inputs .* 'Site')"):
        map_columns(names, ["site"])


def test_a_person_in_the_place_of_headings_is_not_repeated():
    with pytest.raises(DataError) as caught:
        map_columns(["25", "0.12345"])
    assert "25" not in str(caught.value)
    assert "0.12345" not in str(caught.value)
