"""The service over HTTP, as its callers meet it."""

import gc
import json
import math
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import bentoml
import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from drugpred import __version__
from drugpred.codebook import DRUGS, INPUTS, WINDOWS
from drugpred.schemas import EXAMPLE, Error, Health, Prediction, Profile
from tests.harness import wait

pytestmark = pytest.mark.conformance

RISK = ["drug", "probability", "prediction", "label", "threshold", "base_rate", "auc", "reliable"]
CLIENTS = 32

OTHER = {
    "age": 44,
    "gender": "M",
    "education": "Masters degree",
    "country": "USA",
    "ethnicity": "Asian",
    "neuroticism": 1.2,
    "extraversion": 0.5,
    "openness": -1.0,
    "agreeableness": 1.0,
    "conscientiousness": 1.0,
    "impulsivity": -0.71126,
    "sensation_seeking": -0.84637,
}


def probabilities(answers):
    """Of answers that include every window, shape (people, 18, 6)."""
    return np.array([[list(risk["windows"].values()) for risk in answer["risks"]] for answer in answers])


def refusal(answer, status):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    return Error.model_validate_json(answer.content, strict=True)


@pytest.fixture(scope="module")
def asking_for_windows(people):
    return [person | {"include": ["windows"]} for person in people]


@pytest.fixture(scope="module")
def one_by_one(client, asking_for_windows):
    """Answers for every fifth respondent, each asked for alone."""
    answers = [client.post("/predict", json=person) for person in asking_for_windows[::5]]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json() for answer in answers]


# --- predictions


def test_a_profile_is_answered_as_documented(client, stored_model):
    answer = client.post("/predict", json=EXAMPLE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    Prediction.model_validate_json(answer.content, strict=True)
    content = answer.json()
    assert list(content) == ["prediction_id", "model", "window", "data_source", "risks"]
    assert (content["model"], content["window"], content["data_source"]) == (stored_model.tag, "decade", "uci")
    assert [risk["drug"] for risk in content["risks"]] == list(DRUGS)
    assert all(list(risk) == RISK for risk in content["risks"])
    row = np.array([Profile.model_validate(EXAMPLE).row()], np.float64)
    expected = stored_model.predictor.predict_proba(row)[0, :, WINDOWS.index("decade")]
    assert [risk["probability"] for risk in content["risks"]] == pytest.approx(expected.tolist(), abs=1e-9)


def test_windows_are_added_on_request_and_never_rise(client):
    asked = EXAMPLE | {"include": ["windows"], "window": "month", "drugs": ["nicotine", "cannabis"]}
    content = client.post("/predict", json=asked).json()
    assert content["window"] == "month"
    assert [risk["drug"] for risk in content["risks"]] == ["cannabis", "nicotine"]
    for risk in content["risks"]:
        assert list(risk) == [*RISK, "windows"]
        assert list(risk["windows"]) == list(WINDOWS)
        assert all(wide >= narrow for wide, narrow in pairwise(risk["windows"].values()))
        assert risk["probability"] == risk["windows"]["month"]


def log_odds(risk):
    return math.log(risk["probability"] / (1 - risk["probability"]))


@pytest.mark.parametrize("window", WINDOWS)
def test_explanations_are_added_on_request_and_sum_up(client, window):
    content = client.post("/predict", json=EXAMPLE | {"include": ["explanation"], "window": window}).json()
    assert [risk["drug"] for risk in content["risks"]] == list(DRUGS)
    for risk in content["risks"]:
        assert list(risk) == [*RISK, "explanation"]
        explanation = risk["explanation"]
        assert list(explanation) == ["base", "contributions"]
        assert list(explanation["contributions"]) == list(INPUTS)
        total = explanation["base"] + sum(explanation["contributions"].values())
        assert total == pytest.approx(log_odds(risk), abs=1e-9)


def test_in_a_batch_only_requested_explanations_are_made(client, people):
    asked = {"include": ["windows", "explanation"], "drugs": ["cannabis", "lsd"], "window": "year"}
    profiles = [person | (asked if i % 3 == 0 else {}) for i, person in enumerate(people[:30])]
    answers = client.post("/predict_batch", json={"profiles": profiles}).json()
    for i, answer in enumerate(answers):
        if i % 3:
            assert all(list(risk) == RISK for risk in answer["risks"])
            continue
        (alone,) = client.post("/predict_batch", json={"profiles": [profiles[i]]}).json()
        for risk, other in zip(answer["risks"], alone["risks"], strict=True):
            assert list(risk) == [*RISK, "windows", "explanation"]
            total = risk["explanation"]["base"] + sum(risk["explanation"]["contributions"].values())
            assert total == pytest.approx(log_odds(risk), abs=1e-9)
            assert risk["explanation"]["contributions"] == pytest.approx(
                other["explanation"]["contributions"], abs=1e-9
            )


@pytest.mark.parametrize("name", INPUTS)
def test_every_input_moves_the_answer(client, name):
    before, after = (
        [risk["probability"] for risk in client.post("/predict", json=profile).json()["risks"]]
        for profile in (EXAMPLE, EXAMPLE | {name: OTHER[name]})
    )
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) > 1e-4


def test_a_respondent_is_answered_as_the_predictor_says(one_by_one, expected):
    assert len(one_by_one) == 377
    np.testing.assert_allclose(probabilities(one_by_one), expected[::5], rtol=0, atol=1e-9)


def test_batches_answer_as_single_requests_do(client, asking_for_windows, one_by_one, expected):
    answers = []
    for start in range(0, len(asking_for_windows), 1000):
        answer = client.post("/predict_batch", json={"profiles": asking_for_windows[start : start + 1000]})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        answers += answer.json()
    assert len(answers) == 1885
    np.testing.assert_allclose(probabilities(answers), expected, rtol=0, atol=1e-9)
    for one, other in zip(answers[::5], one_by_one, strict=True):
        assert [{**risk, "probability": 0, "windows": 0} for risk in one["risks"]] == [
            {**risk, "probability": 0, "windows": 0} for risk in other["risks"]
        ]


def test_concurrent_batches_each_get_their_own_answers_in_order(server, asking_for_windows, expected):
    ids = []

    def ask(i):
        with server.client() as client:
            for size in (1, 7, 25):
                who = slice(i * 50, i * 50 + size)
                answers = client.post("/predict_batch", json={"profiles": asking_for_windows[who]}).json()
                np.testing.assert_allclose(probabilities(answers), expected[who], rtol=0, atol=1e-9)
                ids.extend(answer["prediction_id"] for answer in answers)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS)))
    assert len(set(ids)) == len(ids) == CLIENTS * (1 + 7 + 25)


def test_a_malformed_profile_refuses_its_own_request_only(server, asking_for_windows, expected):
    done = threading.Event()

    def ask_well(i):
        with server.client() as client:
            rounds = 0
            while not done.is_set() or rounds == 0:
                who = slice(i * 20, i * 20 + 5)
                answer = client.post("/predict_batch", json={"profiles": asking_for_windows[who]})
                np.testing.assert_allclose(probabilities(answer.json()), expected[who], rtol=0, atol=1e-9)
                rounds += 1
            return rounds

    def ask_badly():
        try:
            with server.client() as client:
                profiles = [*asking_for_windows[:3], asking_for_windows[3] | {"age": 17}, *asking_for_windows[4:8]]
                for _ in range(30):
                    error = refusal(client.post("/predict_batch", json={"profiles": profiles}), 400)
                    assert [detail.loc for detail in error.detail] == [["profiles", 3, "age"]]
        finally:
            done.set()

    with ThreadPoolExecutor(9) as pool:
        good = [pool.submit(ask_well, i) for i in range(8)]
        pool.submit(ask_badly).result()
        assert all(future.result() for future in good)


# --- refusals


@pytest.mark.parametrize(
    ("path", "body", "places"),
    [
        ("/predict", EXAMPLE | {"gender": "zebra"}, [["gender"]]),
        ("/predict", EXAMPLE | {"age": 17, "country": "Atlantis"}, [["age"], ["country"]]),
        ("/predict", EXAMPLE | {"openness": 2.91}, [["openness"]]),
        ("/predict", EXAMPLE | {"height": 180}, [[]]),
        ("/predict", EXAMPLE | {"nscore": 0.31}, [[]]),
        ("/predict", EXAMPLE | {"window": "fortnight"}, [["window"]]),
        ("/predict", {}, [[name] for name in INPUTS]),
        ("/predict", [], [[]]),
        ("/predict", b"", [[]]),
        ("/predict", b'{"age": 25', [[]]),
        ("/predict", b"\xff\xfe", [[]]),
        ("/predict", json.dumps(EXAMPLE).replace("1.24", "NaN").encode(), [["openness"]]),
        ("/predict", json.dumps(EXAMPLE).replace("1.24", "Infinity").encode(), [["openness"]]),
        ("/predict_batch", {"profiles": []}, [["profiles"]]),
        ("/predict_batch", {"profiles": [EXAMPLE] * 1001}, [["profiles"]]),
        ("/predict_batch", {"profiles": [EXAMPLE, EXAMPLE | {"gender": "zebra"}]}, [["profiles", 1, "gender"]]),
        ("/predict_batch", {"profiles": EXAMPLE}, [["profiles"]]),
        ("/predict_batch", [EXAMPLE], [[]]),
        ("/predict_batch", {}, [["profiles"]]),
        ("/predict_batch", b"{", [[]]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_malformed_requests_are_refused_by_place(client, path, body, places):
    content = body if isinstance(body, bytes) else json.dumps(body)
    error = refusal(client.post(path, content=content, headers={"content-type": "application/json"}), 400)
    assert error.error == "the request is malformed"
    assert [detail.loc for detail in error.detail] == places
    assert all(detail.msg for detail in error.detail)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("PUT", "/predict", 405),
        ("DELETE", "/predict_batch", 405),
        ("POST", "/health", 405),
        ("POST", "/livez", 405),
        ("GET", "/nowhere", 404),
        ("POST", "/predict/more", 404),
        ("GET", "/static_content/nowhere.js", 404),
    ],
)
def test_unknown_paths_and_methods_are_refused_in_the_error_format(client, method, path, status):
    assert refusal(client.request(method, path), status).detail == []


def test_a_body_need_not_say_that_it_is_json(client):
    answers = [
        client.post("/predict", content=json.dumps(EXAMPLE), headers={"content-type": content_type})
        for content_type in ("application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded")
    ]
    assert {answer.status_code for answer in answers} == {200}


# --- the rest


def test_health(client, stored_model):
    health = Health.model_validate_json(client.get("/health").content, strict=True)
    assert (health.status, health.version, health.model, health.data_source) == (
        "ok",
        __version__,
        stored_model.tag,
        "uci",
    )
    assert 0 < health.uptime_seconds < 3600


def test_model(client, stored_model):
    stored = json.loads((stored_model.path / "card.json").read_bytes())
    assert client.get("/model").json() == stored | {"model": stored_model.tag}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_probes(client, path):
    assert client.get(path).status_code == 200


def test_metrics_count_requests(client):
    def count():
        counts = Counter()
        for family in text_string_to_metric_families(client.get("/metrics").text):
            for sample in family.samples:
                if sample.name == "bentoml_service_request_total" and sample.labels["endpoint"] == "/predict":
                    counts[sample.labels["http_response_code"]] += int(sample.value)
        return counts

    def settled():
        """Return the counts once no more are added: a request is counted after its answer is sent."""
        counted = None
        while counted != count():
            counted = count()
            time.sleep(0.2)
        return counted

    before = settled()
    for profile in (EXAMPLE, EXAMPLE, {}):
        client.post("/predict", json=profile)
    wait(lambda: settled() - before == {"200": 2, "400": 1}, lambda: f"three requests, not {settled() - before}")


def test_examples_of_the_documentation_work_when_pasted(client, stored_model):
    answer = client.post("/predict", json=EXAMPLE).json()
    for template, item in client.get("/docs.json").json()["paths"].items():
        path = template.replace("{version}", stored_model.tag.partition(":")[2])
        if "post" in item:
            example = item["post"]["requestBody"]["content"]["application/json"]["example"]
            if path == "/feedback":  # of an answer that nobody had yet
                example["prediction_id"] = answer["prediction_id"]
            assert client.post(path, json=example).status_code == 200
        else:
            assert client.get(path).status_code == (404 if path == "/challenger" else 200)  # this server has none


def test_the_page_of_the_documentation_loads_from_this_host_alone(client):
    page = client.get("/")
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
    links = [part.split('"')[0] for attribute in ('src="', 'href="') for part in page.text.split(attribute)[1:]]
    links = [link for link in links if not link.startswith("data:")]
    assert links
    assert all(client.get(httpx.URL("/").join(link)).status_code == 200 for link in links)
    assert all(not httpx.URL(link).host for link in links)


# The client leaves its folder of temporary files to the garbage collector.
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
def test_bentomls_own_client_is_answered(server, stored_model):
    def ask():
        with bentoml.SyncHTTPClient(server.url) as client:
            return client.predict(EXAMPLE), client.predict_batch(profiles=[EXAMPLE, EXAMPLE | OTHER])

    prediction, predictions = ask()
    gc.collect()
    assert prediction["model"] == stored_model.tag
    first, *_ = alcohol = [answer["risks"][0]["probability"] for answer in (prediction, *predictions)]
    assert [value == pytest.approx(first, abs=1e-12) for value in alcohol] == [True, True, False]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/predict", 200),
        ("POST", "/predict_batch", 400),
        ("POST", "/feedback", 400),
        ("GET", "/predict", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/", 200),
    ],
)
def test_every_answer_has_the_id_of_its_request(client, people, method, path, status):
    for given in ({"x-request-id": "of-the-caller"}, {}):
        answer = client.request(method, path, json=people[0] if method == "POST" else None, headers=given)
        (request_id,) = answer.headers.get_list("x-request-id")
        assert (answer.status_code, request_id) == (status, given.get("x-request-id", request_id))
        assert request_id
