"""Named tensors to probabilities, without a transport."""

import asyncio
import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugpred import __version__
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, SCORES, SINGLE, WINDOWS
from drugpred.limits import MAX_ROWS
from drugpred.schemas import EXAMPLE, Profile
from drugpred.scoring import Scorer
from drugpred.serving.v2.dataplane import DataPlane, InvalidTensorError, Tensor, UnknownModelError
from drugpred.serving.v2.types import Parameters

LABELS = {category.name: category.labels for category in CATEGORIES}
NEO = [score for score in SCORES if score.is_neo]
PERSON = EXAMPLE | {"age": "25-34"}
RAW = PERSON | {score.name: 36.0 for score in NEO}


def packed(labels):
    """Labels in the protocol's raw form."""
    encoded = [label if isinstance(label, bytes) else label.encode() for label in labels]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


def tensors(content, n=1, datatype="FP64"):
    """A tensor for each input, from one person's values or everybody's lists of them."""
    made = {}
    for name, value in content.items():
        data = value if isinstance(value, list) else [value] * n
        made[name] = Tensor(name, "BYTES" if name in LABELS else datatype, [len(data)], data)
    return made


def people(rows):
    """The content of rows: lists of labels and numbers by name."""
    columns = dict(zip(INPUTS, rows.T, strict=True))
    labels = {name: [labels[int(code)] for code in columns[name]] for name, labels in LABELS.items()}
    return {name: labels.get(name) or columns[name].tolist() for name in INPUTS}


def as_bytes(tensor):
    return tensor._replace(data=[label.encode() for label in tensor.data]) if tensor.name in LABELS else tensor


def as_raw(tensor):
    if tensor.name in LABELS:
        return tensor._replace(data=packed(tensor.data))
    return tensor._replace(data=np.array(tensor.data, {"FP64": "<f8", "FP32": "<f4"}[tensor.datatype]).tobytes())


def as_rows_of_one(tensor):
    return tensor._replace(shape=[*tensor.shape, 1])


@pytest.fixture(scope="module")
def plane(stored_model):
    return DataPlane(Scorer(stored_model))


@pytest.fixture(scope="module")
def infer(plane):
    def call(given_tensors, *outputs, **parameters):
        made = given_tensors.values() if isinstance(given_tensors, dict) else given_tensors
        return asyncio.run(plane.infer(made, outputs, Parameters(**parameters)))

    return call


@pytest.fixture(scope="module")
def refusal(infer):
    """Return where and why tensors are refused."""

    def call(*args, **kwargs):
        with pytest.raises(InvalidTensorError) as caught:
            infer(*args, **kwargs)
        (detail,) = caught.value.details
        assert str(caught.value).endswith(f": {detail.msg}")
        return list(detail.loc), detail.msg

    return call


def test_metadata_names_every_tensor(plane, stored_model):
    assert stored_model.tag == f"{plane.name}:{plane.version}"
    assert (plane.server.name, plane.server.version) == ("drugpred", __version__)
    assert (plane.model.name, plane.model.versions) == ("drug_consumption", [plane.version])
    inputs, outputs = (
        {tensor.name: (tensor.datatype, tensor.shape) for tensor in tensors}
        for tensors in (plane.model.inputs, plane.model.outputs)
    )
    assert list(inputs.items()) == [(name, ("BYTES" if name in LABELS else "FP64", [-1])) for name in INPUTS]
    assert list(outputs.items()) == [(drug, ("FP64", [-1])) for drug in DRUGS]


def test_only_the_served_model_is_known(plane):
    plane.check_model("drug_consumption", "")
    plane.check_model("drug_consumption", plane.version)
    for name, version in (("", ""), ("zebra", ""), ("drug_consumption", "zebra"), ("zebra", plane.version)):
        with pytest.raises(UnknownModelError) as caught:
            plane.check_model(name, version)
        assert "zebra" not in str(caught.value)


# --- answers


@pytest.mark.parametrize("form", [lambda tensor: tensor, as_bytes, as_raw, as_rows_of_one], ids=["", "b", "raw", "n,1"])
@pytest.mark.parametrize("window", WINDOWS)
def test_every_respondent_gets_exactly_the_prediction(infer, stored_model, real, form, window):
    found = infer([form(tensor) for tensor in tensors(people(real.X)).values()], window=window)
    expected = stored_model.predictor.predict_proba(real.X)[:, :, WINDOWS.index(window)]
    assert list(found) == list(DRUGS)
    for column, drug in enumerate(DRUGS):
        assert (found[drug].dtype, found[drug].shape) == (np.float64, (1885,))
        assert found[drug].flags.c_contiguous
        assert np.array_equal(found[drug], expected[:, column])


@pytest.mark.parametrize("form", [lambda tensor: tensor, as_raw], ids=["", "raw"])
def test_every_respondent_is_taken_in_single_precision(infer, stored_model, real, form):
    found = infer([form(tensor) for tensor in tensors(people(real.X), datatype="FP32").values()])
    rounded = np.clip(real.X.astype(np.float32), *(f(real.X, axis=0) for f in (np.min, np.max)))
    expected = stored_model.predictor.predict_proba(rounded.astype(np.float64))[:, :, WINDOWS.index("decade")]
    np.testing.assert_allclose(np.column_stack(list(found.values())), expected, rtol=0, atol=1e-6)


def test_every_respondent_is_taken_by_raw_totals(infer, stored_model, real):
    content = people(real.X)
    totals = {score.name: [score.raw[score.values.index(value)] for value in content[score.name]] for score in NEO}
    found = infer(tensors(content | totals), scale="raw")
    expected = stored_model.predictor.predict_proba(real.X)[:, :, WINDOWS.index("decade")]
    assert np.array_equal(np.column_stack(list(found.values())), expected)


@pytest.mark.parametrize("packed_", [False, True])
def test_raw_totals_may_be_whole_numbers_as_tables_have_them(infer, packed_):
    whole = tensors(PERSON)
    for score in NEO:
        data = np.array([36], "<i8").tobytes() if packed_ else [36]
        whole[score.name] = Tensor(score.name, "INT64", [1], data)
    expected = infer(tensors(RAW), scale="raw")
    assert infer(whole, scale="raw") == expected


@pytest.mark.parametrize("value", [1.0, 2**63, -(2**63) - 1, "1", True, None])
def test_a_fraction_is_refused_as_a_whole_number(refusal, value):
    made = tensors(RAW)
    made["openness"] = Tensor("openness", "INT64", [1], [value])
    assert refusal(made, scale="raw")[0] == ["inputs", "openness", "data", 0]


@pytest.mark.parametrize("n", [1, MAX_ROWS])
def test_a_request_holds_up_to_10000_people(infer, n):
    assert {column.shape for column in infer(tensors(PERSON, n)).values()} == {(n,)}


def test_drugs_come_in_the_order_that_they_were_asked_for(infer):
    everything = infer(tensors(PERSON))
    asked = infer(tensors(PERSON), "nicotine", "alcohol", "lsd")
    assert list(asked) == ["nicotine", "alcohol", "lsd"]
    assert all(np.array_equal(asked[drug], everything[drug]) for drug in asked)
    assert list(infer(tensors(PERSON), *reversed(DRUGS))) == list(reversed(DRUGS))


def test_tensors_may_come_in_any_order(infer):
    assert infer(list(reversed(tensors(PERSON).values()))) == infer(tensors(PERSON))


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_labels_are_spelled_as_in_a_profile(infer, stored_model, category):
    spellings = [change(label) for label in category.codes for change in (str, str.upper, " ".join)]
    found = infer(
        tensors(
            PERSON
            | {category.name: spellings}
            | {name: [value] * len(spellings) for name, value in PERSON.items() if name != category.name}
        )
    )
    rows = [Profile.model_validate(PERSON | {category.name: spelling}).row() for spelling in spellings]
    expected = stored_model.predictor.predict_proba(np.array(rows))[:, :, WINDOWS.index("decade")]
    assert np.array_equal(np.column_stack(list(found.values())), expected)


def test_the_predictor_is_asked_once(stored_model, monkeypatch):
    asked = []

    class Counting:
        def predict_proba(self, rows):
            asked.append(rows.shape)
            return stored_model.predictor.predict_proba(rows)

    counting = DataPlane(Scorer(replace(stored_model, predictor=Counting())))
    asyncio.run(counting.infer(tensors(PERSON, 7).values(), ["lsd"], Parameters()))
    assert asked == [(7, 12)]


# --- refusals


@pytest.mark.parametrize("name", INPUTS)
def test_every_tensor_must_be_given_once(refusal, name):
    given = tensors(PERSON)
    assert refusal([*given.values(), given[name]])[0] == ["inputs", 12, "name"]
    del given[name]
    assert refusal(given) == (["inputs", name], "expected a tensor of this name")
    assert refusal([*given.values(), tensors(PERSON)[name]._replace(name=name.upper())])[0] == ["inputs", 11, "name"]


@pytest.mark.parametrize("name", ["zebra", "", "Age", "nscore", "id"])
def test_other_tensors_are_refused_with_all_that_exist(refusal, name):
    place, expected = refusal([tensors(PERSON)["age"]._replace(name=name), *tensors(PERSON).values()])
    assert place == ["inputs", 0, "name"]
    assert all(known in expected for known in INPUTS)


@pytest.mark.parametrize(
    "outputs", [["zebra"], ["lsd", ""], ["lsd", "LSD"], ["lsd", "semeron"], ["lsd", "lsd"]], ids=str
)
def test_other_drugs_are_refused_with_all_that_exist(refusal, outputs):
    place, expected = refusal(tensors(PERSON), *outputs)
    assert place == ["outputs", len(outputs) - 1, "name"]
    assert all(known in expected for known in DRUGS)


@pytest.mark.parametrize("name", INPUTS)
def test_datatypes_are_those_of_the_metadata(refusal, name):
    wanted = {"BYTES"} if name in LABELS else {"FP64", "FP32", "INT64"}
    for datatype in {"BYTES", "FP64", "FP32", "FP16", "INT64", "INT32", "BOOL", "fp64", ""} - wanted:
        place, expected = refusal(tensors(PERSON) | {name: tensors(PERSON)[name]._replace(datatype=datatype)})
        assert place == ["inputs", name, "datatype"]
        assert all(each in expected for each in wanted)


@pytest.mark.parametrize("name", ["age", "ethnicity", "neuroticism", "sensation_seeking"])
@pytest.mark.parametrize(
    "shape", [[], [0], [-1], [1, 0], [1, 2], [2, 1, 1], [1, 1, 1], [MAX_ROWS + 1], [0, 1], [2**63 - 1]], ids=str
)
def test_shapes_are_of_one_column(refusal, name, shape):
    place, expected = refusal(tensors(PERSON) | {name: tensors(PERSON)[name]._replace(shape=shape)})
    assert (place, expected) == (["inputs", name, "shape"], "expected [n] or [n, 1], n from 1 to 10000")


@pytest.mark.parametrize("name", ["age", "ethnicity", "neuroticism", "sensation_seeking"])
@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("form", [as_bytes, as_raw])
def test_as_many_elements_are_given_as_the_shape_says(refusal, name, n, form):
    place, expected = refusal(
        {key: form(tensor) for key, tensor in tensors(PERSON, 3).items()}
        | {name: form(tensors(PERSON, n)[name])._replace(shape=[3])}
    )
    assert place == ["inputs", name, "data"]
    assert "24 bytes" in expected or "3 elements" in expected or "3 strings" in expected


@pytest.mark.parametrize("name", INPUTS[1:])
def test_tensors_are_of_one_length(refusal, name):
    assert refusal(tensors(PERSON, 3) | {name: tensors(PERSON, 2)[name]}) == (
        ["inputs", name, "data"],
        "expected 3 values, the same number as age",
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        packed(["Female"])[:-1],
        packed(["Female"]) + b"\0",
        packed(["Female", "Male"]),
        struct.pack(">I", 6) + b"Female",
        b"\xff\xff\xff\xffFemale",
        b"Female",
    ],
    ids=repr,
)
def test_raw_strings_follow_their_lengths(refusal, data):
    place, expected = refusal(tensors(PERSON) | {"gender": tensors(PERSON)["gender"]._replace(data=data)})
    assert place == ["inputs", "gender", "data"]
    assert "4 bytes, little-endian" in expected


@pytest.mark.parametrize("form", [lambda tensor: tensor, as_raw], ids=["", "raw"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, label) for name in LABELS for label in ("zebra", "", "\ufffd", "0")),
        ("age", "25"),
        ("age", "17"),
        *((score.name, value) for score in SCORES for value in (math.nan, math.inf, -math.inf, 1e300, -100.0)),
        *((score.name, score.lowest - 1.01 * SINGLE) for score in SCORES),
        *((score.name, score.highest + 1.01 * SINGLE) for score in SCORES),
    ],
    ids=str,
)
def test_values_that_a_profile_refuses_are_refused_with_their_row(refusal, form, name, value):
    content = {key: [good] * 5 for key, good in PERSON.items()}
    content[name] = [*content[name][:3], value, value]
    place, expected = refusal([form(tensor) for tensor in tensors(content).values()])
    assert place == ["inputs", name, "data", 3]
    assert expected.startswith("expected one of " if name in LABELS else "expected a number from ")


@pytest.mark.parametrize("total", [11.0, 61.0, 36.5, 0.31, math.nan])
@pytest.mark.parametrize("score", NEO, ids=lambda score: score.name)
def test_other_raw_totals_are_refused(refusal, infer, score, total):
    infer(tensors(RAW), scale="raw")
    place, expected = refusal(tensors(RAW | {score.name: total}), scale="raw")
    assert (place, expected) == (["inputs", score.name, "data", 0], "expected a whole number from 12 to 60")
    assert refusal(tensors(RAW))[0] == ["inputs", "neuroticism", "data", 0]


@pytest.mark.parametrize("value", [None, True, "0.31", b"0.31", [0.31], {}, 10**400], ids=str)
def test_numbers_are_numbers(refusal, value):
    given = tensors(PERSON, 3)
    given["openness"].data[1] = value
    assert refusal(given)[0] == ["inputs", "openness", "data", 1]


@pytest.mark.parametrize("value", [None, True, 0, 1.0, ["UK"], {}], ids=str)
def test_labels_are_strings(refusal, value):
    given = tensors(PERSON, 3)
    given["country"].data[1] = value
    assert refusal(given)[0] == ["inputs", "country", "data", 1]


def test_labels_are_text(refusal):
    for data in ([b"Female\xff"], packed([b"\xffFemale"])):
        place, expected = refusal(tensors(PERSON) | {"gender": tensors(PERSON)["gender"]._replace(data=data)})
        assert (place, expected) == (["inputs", "gender", "data", 0], "expected one of Female | Male | F | M")


MARK = "QZX7531904286"
marked = st.sampled_from([MARK, MARK.encode(), packed([MARK]), 7531904286, -7531904286.5, f"25-34{MARK}"])


@given(
    name=st.sampled_from(INPUTS), value=marked | st.lists(marked), field=st.sampled_from(["name", "datatype", "data"])
)
def test_no_refusal_repeats_a_sent_value(infer, name, value, field):
    data = value if isinstance(value, bytes | list) else [value]
    changed = tensors(PERSON)[name]._replace(**{field: data if field == "data" else MARK})
    with pytest.raises(InvalidTensorError) as caught:
        infer(tensors(PERSON) | {name: changed})
    told = f"{caught.value} {caught.value.details}"
    assert "7531904286" not in told
    assert caught.value.__cause__ is None


def test_a_refusal_has_the_place_as_a_path():
    assert str(InvalidTensorError.at("inputs", "age", "data", 3, expected="it")) == "inputs.age.data[3]: expected it"
    assert str(InvalidTensorError.at(expected="it")) == "request: expected it"


# --- bounds and support


def columns_of(stored_model, rows, window):
    """The figures of rows by the name of their tensor."""
    probabilities = stored_model.predictor.predict_proba(rows)
    low, high = stored_model.uncertainty.intervals(rows, probabilities)[..., WINDOWS.index(window)]
    figures = {drug: probabilities[:, i, WINDOWS.index(window)] for i, drug in enumerate(DRUGS)}
    figures |= {f"{drug}.low": low[:, i] for i, drug in enumerate(DRUGS)}
    figures |= {f"{drug}.high": high[:, i] for i, drug in enumerate(DRUGS)}
    return figures | stored_model.uncertainty.support(rows)._asdict()


@pytest.mark.parametrize(
    ("outputs", "parameters", "expected"),
    [
        ((), {"include": "interval"}, [f"{drug}{end}" for drug in DRUGS for end in ("", ".low", ".high")]),
        ((), {"include": "support"}, [*DRUGS, "similar", "percentile", "level"]),
        (("lsd",), {"include": "interval,support"}, ["lsd", "lsd.low", "lsd.high", "similar", "percentile", "level"]),
        (("lsd.high", "level", "crack", "lsd.low"), {}, ["lsd.high", "level", "crack", "lsd.low"]),
        (("similar",), {"include": "interval"}, ["similar"]),
        (("lsd.low", "lsd"), {"include": "interval"}, ["lsd.low", "lsd", "lsd.high"]),
    ],
)
def test_bounds_and_support_are_tensors_on_request(infer, stored_model, real, outputs, parameters, expected):
    rows = real.X[:2500]
    answer = infer(tensors(people(rows)), *outputs, window="year", **parameters)
    assert list(answer) == expected
    figures = columns_of(stored_model, rows, "year")
    for name, column in answer.items():
        np.testing.assert_allclose(column, figures[name], atol=1e-12)


def test_an_unknown_addition_is_refused():
    with pytest.raises(ValueError, match="include"):
        Parameters(include="windows")
