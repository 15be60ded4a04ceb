"""Properties for every person: one row, over any transport and spelling, and consistent probabilities."""

import asyncio
import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from pydantic import AliasChoices, ValidationError

from drugpred.codebook import AGE, CATEGORIES, DRUGS, INPUTS, SCORES, WINDOWS, age_band, describe
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.schemas import EXAMPLE, Profile
from drugpred.scoring import Scorer
from drugpred.serving.grpc import converters
from drugpred.serving.openapi import build
from drugpred.serving.v2.dataplane import DataPlane, Tensor
from drugpred.serving.v2.types import Parameters

NEO = [score for score in SCORES if score.is_neo]
COMPONENTS = json.loads(json.dumps(build()["components"]))
SCHEMA = Draft202012Validator({"$ref": "#/components/schemas/Profile", "components": COMPONENTS})
OTHER_NAMES = {
    name: next(str(choice) for choice in field.validation_alias.choices if choice != name)
    for name, field in Profile.model_fields.items()
    if isinstance(field.validation_alias, AliasChoices)
}

labels = {category.name: st.sampled_from(category.labels) for category in CATEGORIES}
scores = {score.name: st.floats(score.lowest, score.highest) for score in SCORES}
options = {
    "drugs": st.lists(st.sampled_from(DRUGS), min_size=1),
    "window": st.sampled_from(WINDOWS),
    "include": st.lists(st.sampled_from(["windows"])),
}
people = st.fixed_dictionaries(labels | scores, optional=options)
totals = st.fixed_dictionaries({score.name: st.integers(12, 60) for score in NEO})
rows = st.tuples(
    *(st.integers(0, len(category.labels) - 1).map(float) for category in CATEGORIES),
    *(st.floats(score.lowest, score.highest) for score in SCORES),
)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-100, 200),
    st.floats(-70, 70),
    st.sampled_from(["raw", "F", "25-34", "White", "UK", "lsd", "", "decade", "zebra"]),
    st.lists(st.sampled_from([*DRUGS, "windows", "explanation", "zebra"]), max_size=3),
)


def read(content):
    return Profile.model_validate_json(json.dumps(content))


def is_taken(content):
    try:
        profile = read(content)
    except ValidationError:
        return False
    assert np.isfinite(profile.row()).all()
    return True


# --- the documented schema


@given(person=people, raw=st.none() | totals, age=st.integers(18, 120) | st.sampled_from(AGE.labels))
def test_the_service_accepts_all_profiles_of_the_schema(person, raw, age):
    content = person | {"age": age} | ({} if raw is None else raw | {"scale": "raw"})
    SCHEMA.validate(content)
    assert is_taken(content)


@given(
    person=people,
    changes=st.dictionaries(st.sampled_from([*Profile.model_fields, "zebra"]), anything, min_size=1, max_size=3),
    left_out=st.sets(st.sampled_from(INPUTS), max_size=1),
)
def test_schema_and_service_agree_on_any_body(person, changes, left_out):
    content = {name: value for name, value in (person | changes).items() if name not in left_out}
    assert SCHEMA.is_valid(content) == is_taken(content)


# --- one person, one row


@given(row=rows)
def test_a_row_that_is_written_out_is_read_back(row):
    assert read(describe(row)).row() == list(row)


@given(data=st.data(), person=people)
def test_two_spellings_of_a_person_are_one_row(data, person):
    respelled = {}
    for name, value in person.items():
        spelled = value
        if name in labels:
            spell = data.draw(st.sampled_from([str.upper, str.lower, str.title, lambda text: " ".join(text)]))
            spelled = data.draw(st.sampled_from(["", " ", "\t"])) + spell(value)
        respelled[OTHER_NAMES.get(name, name) if data.draw(st.booleans()) else name] = spelled
    assert read(respelled) == read(person)
    shuffled = dict(data.draw(st.permutations([*respelled.items()])))
    assert read(shuffled).row() == read(person).row()


@given(person=people, years=st.integers(18, 120))
def test_years_are_their_band(person, years):
    assert read(person | {"age": years}) == read(person | {"age": age_band(years)})


@given(data=st.data(), person=people)
def test_a_published_total_is_its_standardized_score(data, person):
    places = {score: data.draw(st.integers(0, len(score.raw) - 1)) for score in NEO}
    raw = {score.name: score.raw[place] for score, place in places.items()}
    standardized = {score.name: score.values[place] for score, place in places.items()}
    assert read(person | raw | {"scale": "raw"}).row() == read(person | standardized).row()


# --- other transports


def message_of(content):
    """Return a person as a caller of gRPC writes them."""
    message = pb.Profile(
        window=content.get("window") and converters.WINDOWS[content["window"]],
        drugs=[converters.DRUGS[drug] for drug in content.get("drugs", ())],
        include=[pb.INCLUDE_WINDOWS for _ in content.get("include", ())],
        scale=pb.SCALE_RAW if content.get("scale") == "raw" else pb.SCALE_UNSPECIFIED,
        **{name: content[name] for name in scores},
    )
    for category in CATEGORIES:
        setattr(message, "band" if category is AGE else category.name, category.codes[content[category.name]] + 1)
    return message


@given(person=people, raw=st.none() | totals)
def test_a_profile_is_the_same_as_a_message(person, raw):
    content = person | ({} if raw is None else raw | {"scale": "raw"})
    sent = pb.Profile.FromString(message_of(content).SerializeToString())
    arrived = Profile.model_validate(converters.profile(sent))
    assert arrived == read(content)
    assert arrived.row() == read(content).row()


def tensors(content, form):
    """Return people as tensors: elements of JSON, or bytes of doubles."""
    for name in INPUTS:
        values = [person[name] for person in content]
        if name in labels:
            kind = "BYTES"
            encoded = [value.encode() for value in values]
            data = b"".join(struct.pack("<I", len(each)) + each for each in encoded) if form == "raw" else values
        else:
            kind = "FP64"
            data = struct.pack(f"<{len(values)}d", *values) if form == "raw" else values
        yield Tensor(name, kind, [len(values)], data)


@pytest.fixture(scope="module")
def scorer(stored_model):
    return Scorer(stored_model)


@given(
    asked=st.lists(people, min_size=1, max_size=5),
    window=st.sampled_from(WINDOWS),
    form=st.sampled_from(["raw", "elements"]),
)
def test_tensors_and_single_requests_agree(scorer, asked, window, form):
    by_drug = asyncio.run(DataPlane(scorer).infer(tensors(asked, form), [], Parameters(window=window)))
    for place, person in enumerate(asked):
        ((answer,), told) = scorer.predict([read({**person, "window": window, "drugs": list(DRUGS)})]), {}
        told = {risk["drug"]: risk["probability"] for risk in answer.risks}
        # Products of matrices of another height may round the last bit otherwise.
        assert {drug: column[place] for drug, column in by_drug.items()} == pytest.approx(told, abs=1e-12)


# --- predictions


@given(asked=st.lists(people, min_size=1, max_size=5))
def test_probabilities_are_within_0_and_1_and_never_rise_from_ever_to_day(scorer, asked):
    profiles = [read(person | {"include": ["windows"]}) for person in asked]
    for profile, answer in zip(profiles, scorer.predict(profiles), strict=True):
        assert {risk["drug"] for risk in answer.risks} == profile.drugs
        for risk in answer.risks:
            windows = [risk["windows"][window] for window in WINDOWS]
            assert windows == sorted(windows, reverse=True)
            assert all(0 < probability < 1 and math.isfinite(probability) for probability in windows)
            assert risk["probability"] == risk["windows"][profile.window]


def test_the_example_is_one_of_them():
    assert SCHEMA.is_valid(EXAMPLE)
    assert is_taken(EXAMPLE)
