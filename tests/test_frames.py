"""Rows of DataFrames: the same as those of files, for all types, or an error that names row and column."""

import io

import numpy as np
import pandas as pd
import polars as pl
import pytest

from drugpred.codebook import INPUTS
from drugpred.frames import frame_like, rows_of
from drugpred.schemas import EXAMPLE, Profile
from drugpred.tabular import ColumnError

ROW = Profile.model_validate(EXAMPLE).row()


@pytest.fixture
def frame():
    return pd.DataFrame([EXAMPLE] * 3)


def changed(frame, **columns):
    return frame.astype(dict.fromkeys(columns, object)).assign(**columns)


def test_rows_are_those_of_profiles(frame):
    assert np.array_equal(rows_of(frame), [ROW] * 3)
    assert rows_of(frame).flags.c_contiguous


@pytest.mark.parametrize("form", ["decoded_path", "uci_path"])
def test_the_real_data_are_read_as_by_the_parser(form, request, real):
    path = request.getfixturevalue(form)
    if form == "decoded_path":
        frame, ids = pd.read_csv(path), pd.read_csv(path)["ID"]
    else:
        frame = pd.read_csv(path, header=None, index_col=0).iloc[:, :12].set_axis(list(INPUTS), axis=1)
        ids = frame.index
    assert np.array_equal(rows_of(frame), real.X[real.frame.index.isin(ids)])


def test_headings_may_be_those_of_the_decoded_csv_and_other_columns_are_ignored(frame):
    renamed = frame.rename(columns={"neuroticism": "Nscore", "impulsivity": "Impulsive", "sensation_seeking": " ss "})
    assert np.array_equal(rows_of(renamed.assign(Cannabis="CL3", comment="x", **{"7": 1})), rows_of(frame))


def test_columns_that_are_no_text_are_ignored(frame):
    assert np.array_equal(rows_of(frame.assign(other=1).rename(columns={"other": 0})), rows_of(frame))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("age", [25, 25.0, "25"]),
        ("age", ["25-34", " 25 - 34 ", -0.07854]),
        ("gender", ["f", "Female", "0.48246"]),
        ("country", pd.Categorical(["UK", "uk", "UK"])),
        ("openness", ["1.24", 1.24, np.float64(1.24)]),
    ],
)
def test_cells_are_read_as_in_a_file(frame, column, values):
    assert np.allclose(rows_of(changed(frame, **{column: values})), rows_of(frame), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "Float64", "float64[pyarrow]", "string", "string[pyarrow]", object])
def test_scores_may_have_any_type(frame, dtype):
    assert np.allclose(rows_of(frame.astype({"openness": dtype})), rows_of(frame), atol=1e-6)


def test_frames_of_polars_are_read_alike(frame):
    people = pl.DataFrame([EXAMPLE] * 3)
    assert np.array_equal(rows_of(people), rows_of(frame))
    typed = people.with_columns(pl.col("country").cast(pl.Categorical), pl.col("openness").cast(pl.Decimal(10, 5)))
    assert np.array_equal(rows_of(typed), rows_of(frame))


def test_raw_totals_are_read_on_their_scale(frame):
    totals = {"neuroticism": 39, "extraversion": 36, "openness": 54, "agreeableness": 41, "conscientiousness": 41}
    raw = Profile.model_validate(EXAMPLE | totals | {"scale": "raw"}).row()
    assert np.allclose(rows_of(frame.assign(**totals), "raw")[:, :10], [raw[:10]] * 3)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("age", 17, "a whole number from 18 to 120, or one of 18-24"),
        ("age", float("nan"), "a whole number"),
        ("age", 10**400, "a whole number"),
        ("gender", None, "one of Female"),
        ("gender", ["F"], "one of Female"),
        ("gender", 3.7, "one of Female"),
        ("country", "Atlantis", "one of Australia"),
        ("openness", "high", "a number from -3.27393 to 2.90161"),
        ("openness", 9.75, "a number from"),
        ("openness", None, "a number from"),
        ("openness", True, "a number from"),
        ("openness", 10**400, "a number from"),
        ("openness", "1_0", "a number from"),
    ],
)
def test_an_impossible_cell_is_named_by_column_and_row_and_never_shown(frame, column, value, expected):
    cells = pd.Series([EXAMPLE[column], EXAMPLE[column], value], dtype=object)
    with pytest.raises(ColumnError) as error:
        rows_of(changed(frame, **{column: cells}))
    assert (error.value.field, error.value.row) == (column, 2)
    assert str(error.value).startswith(f"{column}, row 2: expected {expected}")
    assert str(value) not in str(error.value).replace("120", "")


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "float64[pyarrow]"])
def test_a_missing_number_of_any_type_is_found(frame, dtype):
    with pytest.raises(ColumnError, match=r"^openness, row 1: expected a number"):
        rows_of(frame.assign(openness=pd.array([1, None, 1], dtype=dtype)))


def test_the_first_wrong_row_is_named_by_its_own_heading(frame):
    wrong = frame.assign(age=[25, 25, 1], openness=[1.0, 9.0, 1.0]).rename(columns={"openness": "Oscore"})
    with pytest.raises(ColumnError, match=r"^Oscore, row 1: "):
        rows_of(wrong)


def test_columns_that_are_missing_or_occur_twice_are_named(frame):
    with pytest.raises(ColumnError, match=r"^country: expected a column"):
        rows_of(frame.drop(columns="country"))
    with pytest.raises(ColumnError, match=r"^neuroticism: expected one column"):
        rows_of(frame.assign(Nscore=1.0))


@pytest.mark.parametrize("given", [[EXAMPLE], "people.csv", pl.LazyFrame([EXAMPLE])])
def test_other_objects_are_refused(given):
    with pytest.raises(TypeError):
        rows_of(given)


def test_a_frame_like_another_has_its_index(frame):
    indexed = frame.set_axis(pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["group", "n"]))
    result = frame_like(indexed, {"age": np.arange(3.0), "new": np.ones(3)})
    assert result.index.equals(indexed.index)
    assert result.to_dict("list") == {"age": [0.0, 1.0, 2.0], "new": [1.0, 1.0, 1.0]}


def test_a_csv_is_read_alike_by_pandas_and_polars(frame):
    text = frame.to_csv(index=False)
    assert np.array_equal(rows_of(pd.read_csv(io.StringIO(text))), rows_of(pl.read_csv(io.BytesIO(text.encode()))))
