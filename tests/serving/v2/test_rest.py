"""The Open Inference Protocol over REST, on a real model, in the one error shape."""

import asyncio
import codecs
import json
import struct
from dataclasses import replace

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugpred import __version__
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, WINDOWS, describe
from drugpred.schemas import EXAMPLE, Error
from drugpred.serving.middleware.error_format import ErrorFormatMiddleware
from drugpred.serving.middleware.shutdown import ConnectionCloseMiddleware
from drugpred.serving.v2.types import InferenceResponse, ModelMetadata, ServerMetadata

MODEL = "/v2/models/drug_consumption"
LENGTH = "inference-header-content-length"
LABELS = {category.name for category in CATEGORIES}
PERSON = EXAMPLE | {"age": "25-34"}


def request_to(routes):
    """Return a client of the routes."""

    async def send(method, path, **kwargs):
        transport = httpx.ASGITransport(ErrorFormatMiddleware(routes), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **kwargs)

    return lambda method, path, **kwargs: asyncio.run(send(method, path, **kwargs))


@pytest.fixture(scope="module")
def request_(stored_model, app_of):
    return request_to(app_of(stored_model))


@pytest.fixture(scope="module")
def infer(request_):
    def post(content, headers=None, path=f"{MODEL}/infer"):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return request_("POST", path, content=body, headers=headers)

    return post


@pytest.fixture(scope="module")
def refusal(infer):
    """Return where and why a request is refused."""

    def post(content, headers=None):
        answer = infer(content, headers)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/json"
        return [(detail.loc, detail.msg) for detail in Error.model_validate_json(answer.content, strict=True).detail]

    return post


def content(people=(PERSON,), **changes):
    """A request for people; changes are of the tensors, by name."""
    inputs = [
        {
            "name": name,
            "datatype": "BYTES" if name in LABELS else "FP64",
            "shape": [len(people)],
            "data": [person[name] for person in people],
        }
        | changes.get(name, {})
        for name in INPUTS
    ]
    return {"inputs": inputs}


def in_binary(request, *names):
    """The body and headers of a request with some tensors after the JSON."""
    inputs, behind = [], b""
    for tensor in request["inputs"]:
        if tensor["name"] in names:
            data = tensor.pop("data")
            if tensor["name"] in LABELS:
                raw = b"".join(struct.pack("<I", len(label.encode())) + label.encode() for label in data)
            else:
                raw = np.array(data, "<f8").tobytes()
            tensor["parameters"] = {"binary_data_size": len(raw)}
            behind += raw
        inputs.append(tensor)
    text = json.dumps(request | {"inputs": inputs}).encode()
    return text + behind, {LENGTH: str(len(text))}


def read(answer):
    """The columns of an answer, and the names of those after its JSON."""
    assert answer.status_code == 200
    length = int(answer.headers.get(LENGTH, len(answer.content)))
    InferenceResponse.model_validate_json(answer.content[:length], strict=True)
    columns, behind = {}, []
    for output in json.loads(answer.content[:length])["outputs"]:
        assert output["datatype"] == "FP64"
        if "data" in output:
            columns[output["name"]] = output["data"]
        else:
            size = output["parameters"]["binary_data_size"]
            columns[output["name"]] = np.frombuffer(answer.content[length : length + size], "<f8").tolist()
            length += size
            behind.append(output["name"])
        assert output["shape"] == [len(columns[output["name"]])]
    assert length == len(answer.content)
    return columns, behind


@pytest.fixture(scope="module")
def everybody(real):
    return [describe(row) for row in real.X.tolist()]


def test_a_byte_order_mark_is_passed_over_also_before_binary_data(infer):
    body, headers = in_binary(content(), "age", "openness")
    headers[LENGTH] = str(int(headers[LENGTH]) + 3)
    assert infer(codecs.BOM_UTF8 + body, headers).content == infer(content()).content
    assert infer(codecs.BOM_UTF8 + json.dumps(content()).encode()).content == infer(content()).content


def test_another_encoding_is_named(refusal):
    for encoding in ("utf-16", "utf-32"):
        assert refusal(json.dumps(content()).encode(encoding)) == [([], "expected JSON in UTF-8")]


def test_parameters_of_triton_clients_are_ignored(infer):
    said = {"parameters": {"timeout": 1000, "priority": 1}}
    assert infer(content() | said).content == infer(content()).content


@pytest.mark.parametrize("name", ["sequence_id", "zebra"])
def test_the_parameters_that_there_are_are_listed_where_another_one_comes(refusal, name):
    known = "expected no parameter but binary_data_output, content_type, include, priority, scale, timeout, window"
    assert refusal(content() | {"parameters": {name: 1, "window": "day"}}) == [(["parameters"], known)]
    known = "expected no parameter but binary_data, content_type"
    outputs = [{"name": "lsd", "parameters": {"class_count": 1}}]
    assert refusal(content() | {"outputs": outputs}) == [(["outputs", 0, "parameters"], known)]
    known = "expected no parameter but binary_data_size, content_type"
    assert refusal(content(age={"parameters": {name: 1}})) == [(["inputs", 0, "parameters"], known)]


# --- metadata


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        (f"{MODEL}/ready", {"ready": True, "name": "drug_consumption"}),
        ("/v2", {"name": "drugpred", "version": __version__, "extensions": ["binary_tensor_data"]}),
    ],
)
def test_the_server_metadata(request_, path, said):
    answer = request_("GET", path)
    assert (answer.status_code, answer.headers["content-type"], answer.json()) == (200, "application/json", said)
    assert request_("HEAD", path).status_code == 200
    assert request_("POST", path).status_code == 405


def test_the_metadata_name_every_tensor(request_, stored_model):
    answer = request_("GET", MODEL)
    metadata = ModelMetadata.model_validate_json(answer.content, strict=True)
    assert f"{metadata.name}:{metadata.versions[0]}" == stored_model.tag
    assert ([each.name for each in metadata.inputs], [each.name for each in metadata.outputs]) == (
        list(INPUTS),
        list(DRUGS),
    )
    assert ServerMetadata.model_validate_json(request_("GET", "/v2").content, strict=True)


def test_the_version_may_be_said(request_, infer, stored_model):
    version = f"{MODEL}/versions/{stored_model.tag.partition(':')[2]}"
    for path in ("", "/ready"):
        assert request_("GET", version + path).content == request_("GET", MODEL + path).content
    assert infer(content(), path=f"{version}/infer").content == infer(content()).content


@pytest.mark.parametrize("model", ["/v2/models/zebra", "/v2/models/zebra/versions/1", f"{MODEL}/versions/zebra"])
def test_other_models_are_not_found(request_, infer, model):
    for answer in (request_("GET", model), request_("GET", f"{model}/ready"), infer(content(), path=f"{model}/infer")):
        error = Error.model_validate_json(answer.content, strict=True)
        assert (answer.status_code, error.detail) == (404, [])
        assert error.error == "model not found"


@pytest.mark.parametrize("place", ["/v2/health", MODEL, f"{MODEL}/versions/{{version}}"])
def test_while_the_worker_drains_it_is_alive_and_not_ready(stored_model, app_of, place):
    app = app_of(stored_model)
    request_ = request_to(ConnectionCloseMiddleware(app, lambda: app.state.service))
    ready = f"{place}/ready".format(version=stored_model.tag.partition(":")[2])
    assert request_("GET", ready).json()["ready"] is True
    app.state.service.worker.shutdown.started = True
    answer = request_("GET", ready)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/json")
    assert Error.model_validate_json(answer.content, strict=True) == Error(
        error="the server is shutting down", detail=[]
    )
    assert request_("HEAD", ready).status_code == 503
    assert request_("POST", ready).status_code == 405
    assert request_("GET", "/v2/health/live").json() == {"live": True}
    assert request_("POST", f"{MODEL}/infer", json=content()).status_code == 200
    assert request_("GET", "/v2/models/zebra/ready").status_code == 404


@pytest.mark.parametrize("path", ["/v2/models", "/v2/zebra", "/v2/models/", f"{MODEL}/versions", f"{MODEL}/zebra"])
def test_nothing_else_is_offered(request_, path):
    assert request_("GET", path).json() == {"error": "Not Found", "detail": []}
    assert request_("GET", f"{MODEL}/infer").status_code == 405


# --- answers


def test_an_answer_is_as_the_protocol_says(infer, stored_model):
    answer = infer(content() | {"outputs": [{"name": "lsd"}], "parameters": {"window": "day"}, "id": "an id"})
    assert answer.headers["content-type"] == "application/json"
    expected = stored_model.predictor.predict_proba(
        np.array([[1, 0, 6, 5, 6, 0.31, -0.58, 1.24, -0.3, -0.14, 0.53, 0.77]])
    )
    assert answer.json() == {
        "model_name": "drug_consumption",
        "model_version": stored_model.tag.partition(":")[2],
        "id": "an id",
        "parameters": {"window": "day", "data_source": "uci"},
        "outputs": [
            {
                "name": "lsd",
                "datatype": "FP64",
                "shape": [1],
                "data": [expected[0, DRUGS.index("lsd"), WINDOWS.index("day")]],
            }
        ],
    }


def test_an_id_is_copied_only_if_there_is_one(infer):
    assert infer(content() | {"id": ""}).json()["id"] == ""
    assert "id" not in infer(content()).json()


@pytest.mark.parametrize("window", WINDOWS)
def test_every_respondent_gets_exactly_the_prediction(infer, everybody, stored_model, real, window):
    asked = content(everybody) | {"parameters": {"window": window}}
    expected = stored_model.predictor.predict_proba(real.X)[:, :, WINDOWS.index(window)].T.tolist()
    columns, behind = read(infer(asked))
    assert (list(columns), list(columns.values()), behind) == (list(DRUGS), expected, [])
    asked["parameters"]["binary_data_output"] = True
    columns, behind = read(infer(*in_binary(asked, *INPUTS)))
    assert (list(columns), list(columns.values()), behind) == (list(DRUGS), expected, list(DRUGS))


def test_raw_totals_are_taken(infer, everybody):
    totals = [
        person | dict.fromkeys(["neuroticism", "extraversion", "openness", "agreeableness", "conscientiousness"], 36)
        for person in everybody[:5]
    ]
    standardized = [
        person
        | {
            "neuroticism": 0.04257,
            "extraversion": -0.57545,
            "openness": -1.42424,
            "agreeableness": -1.07533,
            "conscientiousness": -0.78155,
        }
        for person in everybody[:5]
    ]
    assert read(infer(content(totals) | {"parameters": {"scale": "raw"}})) == read(infer(content(standardized)))


def test_a_column_may_be_written_as_rows(infer):
    people = [PERSON, PERSON | {"age": "65+"}]
    flat = content(people)
    shaped = content(people, **{name: {"shape": [2, 1]} for name in INPUTS})
    nested = content(people, **{name: {"shape": [2, 1]} for name in INPUTS})
    for tensor in nested["inputs"]:
        tensor["data"] = [[value] for value in tensor["data"]]
    assert infer(flat).content == infer(shaped).content == infer(nested).content


def test_an_answers_tensors_stand_behind_the_json_where_asked_for(infer):
    people = [PERSON, PERSON | {"age": "65+"}, PERSON]
    plain, _ = read(infer(content(people)))
    outputs = [{"name": "lsd", "parameters": {"binary_data": True}}, {"name": "alcohol"}, {"name": "crack"}]
    for parameters, behind in (({}, ["lsd"]), ({"binary_data_output": True}, ["lsd", "alcohol", "crack"])):
        answer = infer(content(people) | {"outputs": outputs, "parameters": parameters})
        assert read(answer) == ({name: plain[name] for name in ("lsd", "alcohol", "crack")}, behind)
        assert answer.headers["content-type"] == "application/octet-stream"
    outputs[1]["parameters"] = {"binary_data": False}
    answer = infer(content(people) | {"outputs": outputs, "parameters": {"binary_data_output": True}})
    assert read(answer)[1] == ["lsd", "crack"]


@pytest.mark.parametrize("names", [["age"], ["neuroticism", "age"], ["country", "sensation_seeking"], INPUTS])
def test_a_requests_tensors_may_stand_behind_the_json(infer, names):
    people = [PERSON, PERSON | {"country": "Other", "openness": -3.0}]
    assert infer(*in_binary(content(people), *names)).content == infer(content(people)).content


def test_parameters_of_mlservers_client_are_accepted(infer):
    asked = content(**{name: {"parameters": {"content_type": "str"}} for name in LABELS})
    asked |= {"parameters": {"content_type": "pd"}}
    asked |= {"outputs": [{"name": drug, "parameters": {"content_type": "np"}} for drug in DRUGS]}
    assert infer(asked).json()["outputs"] == infer(content()).json()["outputs"]


def test_kserves_client_says_the_model_in_the_body_too(infer):
    assert infer(content() | {"model_name": "drug_consumption"}).content == infer(content()).content
    answer = infer(content() | {"model_name": "zebra"})
    assert answer.status_code == 404
    assert "zebra" not in answer.text


# --- refusals


def test_a_value_is_refused_by_tensor_and_row(refusal):
    people = [PERSON, PERSON, PERSON | {"openness": 2.91}]
    assert refusal(content(people)) == [
        (["inputs", "openness", "data", 2], "expected a number from -3.27393 to 2.90161")
    ]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "true", "null", '"1"', "[1]", "{}"])
def test_numbers_are_finite(refusal, literal):
    body = json.dumps(content(openness={"data": ["here"]})).replace('"here"', literal).encode()
    ((place, _),) = refusal(body)
    assert place == ["inputs", "openness", "data", 0]


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({"parameters": {"window": "fortnight"}}, [["parameters", "window"]]),
        ({"parameters": {"scale": 1}}, [["parameters", "scale"]]),
        ({"parameters": {"zebra": 1, "priority": 2}}, [["parameters"]]),
        ({"parameters": {"binary_data_output": 1}}, [["parameters", "binary_data_output"]]),
        ({"parameters": []}, [["parameters"]]),
        ({"outputs": [{"name": "zebra"}]}, [["outputs", 0, "name"]]),
        ({"outputs": [{"name": "lsd"}, {"name": "lsd"}]}, [["outputs", 1, "name"]]),
        (
            {"outputs": [{"name": "lsd", "parameters": {"classification": 3}}]},
            [["outputs", 0, "parameters"]],
        ),
        ({"outputs": [{}]}, [["outputs", 0, "name"]]),
        ({"outputs": [{"name": "lsd"}] * 58}, [["outputs"]]),
        ({"outputs": "lsd"}, [["outputs"]]),
        ({"inputs": []}, [["inputs", "age"]]),
        ({"inputs": content()["inputs"][:-1]}, [["inputs", "sensation_seeking"]]),
        ({"inputs": content()["inputs"] + content()["inputs"][:1]}, [["inputs"]]),
        (content(age={"data": None}), [["inputs", 0]]),
        (content(age={"parameters": {"binary_data_size": 0}}), [["inputs", 0]]),
        (content(age={"parameters": {"binary_data_size": -1}}), [["inputs", 0, "parameters", "binary_data_size"]]),
        (
            content(age={"parameters": {"shared_memory_region": "a"}}),
            [["inputs", 0, "parameters"]],
        ),
        (content(age={"shape": ["1"]}), [["inputs", 0, "shape", 0]]),
        (content(age={"shape": [1.5]}), [["inputs", 0, "shape", 0]]),
        (content(age={"shape": [10**30]}), [["inputs", "age", "shape"]]),
        (content(age={"shape": [2]}), [["inputs", "age", "data"]]),
        (content(age={"data": [["25-34"]]}), [["inputs", "age", "data", 0]]),
        (content(age={"data": [[["25-34"]]], "shape": [1, 1]}), [["inputs", "age", "data", 0]]),
        (content(age={"datatype": "FP64"}), [["inputs", "age", "datatype"]]),
        (content(age={"name": "Age"}), [["inputs", 0, "name"]]),
        (content(age={"zebra": 1}), [["inputs", 0]]),
        ({"id": 1}, [["id"]]),
        ({"zebra": 1}, [[]]),
    ],
    ids=lambda value: json.dumps(value)[-80:],
)
def test_malformed_requests_are_refused_by_place(refusal, change, places):
    refused = refusal(content() | change)
    assert [place for place, _ in refused] == places
    assert all(expected for _, expected in refused)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", json.dumps(PERSON).encode()], ids=repr)
def test_other_bodies_are_refused(refusal, body):
    assert refusal(body)


@pytest.mark.parametrize("length", ["zebra", "-1", "1.5", "", "9" * 5000, "100000", "0x10"], ids=lambda text: text[:9])
def test_the_length_of_the_json_is_one(refusal, length):
    assert [place for place, _ in refusal(content(), {LENGTH: length})] == [[LENGTH]]


def test_the_json_ends_where_its_length_says(refusal):
    body, headers = in_binary(content(), "age")
    assert refusal(body, {LENGTH: str(int(headers[LENGTH]) - 1)})[0][0] == []
    assert refusal(body)[0][0] == []


@pytest.mark.parametrize("change", [lambda body: body[:-1], lambda body: body + b"\0", lambda body: body[:-12]])
def test_binary_data_is_as_long_as_the_tensors_say(refusal, change):
    body, headers = in_binary(content(), "openness", "age")
    ((place, expected),) = refusal(change(body), headers)
    assert (place, expected) == (["inputs"], "expected binary data of the sizes in binary_data_size")


def test_more_than_10000_people_are_refused(refusal):
    people = [PERSON] * 10_001
    assert refusal(content(people)) == [(["inputs", "age", "shape"], "expected [n] or [n, 1], n from 1 to 10000")]


MARK = "QZX7531904286"
marked = st.sampled_from([MARK, 7531904286, -7531904286.5, 7531904286e300, [MARK], {"a": MARK}])


@given(
    tensor=st.sampled_from(INPUTS),
    field=st.sampled_from(["name", "datatype", "shape", "data", "parameters"]),
    value=marked | st.lists(marked, max_size=3) | st.fixed_dictionaries({"binary_data_size": marked}),
)
def test_no_refusal_repeats_a_value(infer, tensor, field, value):
    answer = infer(content(**{tensor: {field: value}}))
    assert answer.status_code == 400
    assert "7531904286" not in answer.text


@given(end=st.integers(0, 1200), junk=st.sampled_from([b"", b"\0", b"}", b'"', MARK.encode(), b"\xff", b"\\u12"]))
def test_no_refusal_of_broken_json_repeats_a_part_of_it(infer, end, junk):
    body = json.dumps(content(age={"data": [MARK]}, openness={"data": [7531904286]})).encode()
    answer = infer(body[:end] + junk)
    assert answer.status_code == 400
    assert "7531904286" not in answer.text


def test_a_fault_is_answered_in_the_same_shape(stored_model, app_of):
    class Broken:
        def predict_proba(self, rows):
            raise RuntimeError("secret")

    answer = request_to(app_of(replace(stored_model, predictor=Broken())))("POST", f"{MODEL}/infer", json=content())
    assert (answer.status_code, answer.json()) == (500, {"error": "Internal Server Error", "detail": []})
