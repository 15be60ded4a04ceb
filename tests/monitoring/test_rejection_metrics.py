"""Refused requests, counted in words of the project alone."""

import asyncio
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drugpred.codebook import CATEGORIES, INPUTS, SCORES
from drugpred.monitoring import rejection_metrics
from drugpred.schemas import EXAMPLE, Batch, Profile
from drugpred.scoring import Scorer
from drugpred.serving.v2.dataplane import DataPlane, InvalidTensorError, Tensor
from drugpred.serving.v2.types import Parameters
from drugpred.tabular import ColumnError, encode
from tests.harness.metrics import samples

FIELDS = {*INPUTS, "drugs", "window", "include", "scale", "profiles", "other"}
REASONS = {"range", "category", "missing", "unknown", "other"}


def counts():
    return {(sample.labels["field"], sample.labels["reason"]): sample.value for sample in samples("refused")}


def counted(call, *arguments):
    """Return the counts of a call."""
    before = counts()
    call(*arguments)
    return {of: int(n - before.get(of, 0)) for of, n in counts().items() if n != before.get(of, 0)}


def refusal(model, content):
    with pytest.raises(ValidationError) as raised:
        model.model_validate(content) if not isinstance(content, str) else model.model_validate_json(content)
    return raised.value


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"age": 17}, {("age", "category")}),
        ({"gender": "marked"}, {("gender", "category")}),
        ({"country": None}, {("country", "category")}),
        ({"neuroticism": 99}, {("neuroticism", "range")}),
        ({"openness": float("nan")}, {("openness", "range")}),
        ({"openness": "1.24"}, {("openness", "other")}),
        ({"scale": "raw"}, {(score.name, "range") for score in SCORES if score.is_neo}),
        ({"marked": 1, "other_marked": 2}, {("other", "unknown")}),
        ({"drugs": ["marked"]}, {("drugs", "category")}),
        ({"drugs": []}, {("drugs", "range")}),
        ({"window": "marked"}, {("window", "category")}),
        ({"include": ["marked"]}, {("include", "category")}),
        ({"scale": "marked"}, {("scale", "category")}),
        ({"scale": 3, "age": -1}, {("scale", "category"), ("age", "category")}),
    ],
)
def test_profiles(change, expected):
    assert counted(rejection_metrics.count_validation, refusal(Profile, EXAMPLE | change)) == dict.fromkeys(expected, 1)


def test_missing_inputs_and_other_names_of_scores():
    content = {name: value for name, value in EXAMPLE.items() if name not in ("neuroticism", "age")}
    assert counted(rejection_metrics.count_validation, refusal(Profile, content)) == {
        ("neuroticism", "missing"): 1,
        ("age", "missing"): 1,
    }
    assert counted(rejection_metrics.count_validation, refusal(Profile, content | {"age": 20, "nscore": 99})) == {
        ("neuroticism", "range"): 1
    }


@pytest.mark.parametrize("content", ["[]", "{marked", '"marked"', "3"])
def test_invalid_profiles(content):
    assert counted(rejection_metrics.count_validation, refusal(Profile, content)) == {("other", "other"): 1}


def test_batches_count_once_with_each_reason():
    content = {"profiles": [EXAMPLE | {"age": 3}] * 900 + [EXAMPLE | {"marked": 1}, 3]}
    assert counted(rejection_metrics.count_validation, refusal(Batch, content)) == {
        ("age", "category"): 1,
        ("other", "unknown"): 1,
        ("profiles", "other"): 1,
    }
    assert counted(rejection_metrics.count_validation, refusal(Batch, {"profiles": []})) == {("profiles", "range"): 1}
    assert counted(rejection_metrics.count_validation, refusal(Batch, {})) == {("profiles", "missing"): 1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"age": np.array([6, 0])}, ("age", "category")),
        ({"impulsivity": np.array([0.0, np.nan])}, ("impulsivity", "range")),
        ({"openness": np.array([0.0])}, ("openness", "other")),
    ],
)
def test_columns(change, expected):
    columns = dict.fromkeys(INPUTS, np.zeros(2)) | change
    with pytest.raises(ColumnError) as raised:
        encode(columns)
    assert counted(rejection_metrics.count_column, raised.value.field, raised.value.row) == {expected: 1}


def tensors(**changes):
    labels = {category.name: ["BYTES", [1], [category.labels[0]]] for category in CATEGORIES}
    content = labels | {score.name: ["FP64", [1], [0.0]] for score in SCORES} | changes
    return [Tensor(name, *of) for name, of in content.items() if of]


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (tensors(age=["BYTES", [1], ["marked"]]), [], ("age", "category")),
        (tensors(age=["BYTES", [1], [3]]), [], ("age", "other")),
        (tensors(openness=["FP64", [1], [99.0]]), [], ("openness", "range")),
        (tensors(openness=["FP64", [1], ["marked"]]), [], ("openness", "other")),
        (tensors(openness=["marked", [1], [0.0]]), [], ("openness", "other")),
        (tensors(openness=["FP64", [2, 7], [0.0]]), [], ("openness", "other")),
        (tensors(openness=["FP64", [1], [0.0, 1.0]]), [], ("openness", "other")),
        (tensors(openness=None), [], ("openness", "missing")),
        (tensors(marked=["FP64", [1], [0.0]]), [], ("other", "unknown")),
        (tensors(), ["marked"], ("drugs", "category")),
    ],
)
def test_tensors(stored_model, inputs, outputs, expected):
    with pytest.raises(InvalidTensorError) as raised:
        asyncio.run(DataPlane(Scorer(stored_model)).infer(inputs, outputs, Parameters()))
    assert counted(rejection_metrics.count_tensors, raised.value.details) == {expected: 1}


NAMES = st.text(string.printable, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.sampled_from(sorted(FIELDS)), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)) | NAMES, JSON, max_size=6), st.booleans())
def test_no_caller_invents_a_label(content, alone):
    try:
        Profile.model_validate(content) if alone else Batch.model_validate({"profiles": [content]})
    except ValidationError as error:
        rejection_metrics.count_validation(error)
    assert {field for field, _ in counts()} <= FIELDS
    assert {reason for _, reason in counts()} <= REASONS
