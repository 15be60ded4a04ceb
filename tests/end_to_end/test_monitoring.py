"""Counts of servers: every profile once over any transport, added up over workers and servers."""

import re
import time

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from drugpred.client import converters as requests
from drugpred.codebook import CATEGORIES, DRUGS, INPUTS, WINDOWS
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.proto.inference import grpc_service_pb2 as v2
from drugpred.proto.inference import grpc_service_pb2_grpc as v2_grpc
from drugpred.schemas import EXAMPLE, Profile
from tests.harness.service import left_by
from tests.harness.store import copy_of

V2 = "/v2/models/drug_consumption/infer"
KEY = "d2VsbC1rbm93bi10by10aGVzZS10ZXN0cy1vbmx5LS0tLS0"
NAMES = {category.name for category in CATEGORIES}
MESSAGE = requests.profile(Profile.model_validate(EXAMPLE))


def tensors(n):
    person = EXAMPLE | {"age": "25-34"}
    return [
        {"name": name, "datatype": "BYTES" if name in NAMES else "FP64", "shape": [n], "data": [person[name]] * n}
        for name in INPUTS
    ]


def ask_every_way(server, times):
    """Predict for people over every transport; return the number of answers."""
    asked = 0
    for i in range(times):
        # A connection of its own each time, so that all workers are met.
        options = [("grpc.use_local_subchannel_pool", 1)]
        with server.client() as client, grpc.insecure_channel(server.grpc, options) as channel:
            assert client.post("/predict", json=EXAMPLE).status_code == 200
            explained = EXAMPLE | {"include": ["explanation"], "window": WINDOWS[i % 6], "drugs": ["lsd"]}
            assert client.post("/predict", json=explained).status_code == 200
            assert client.post("/predict_batch", json={"profiles": [EXAMPLE] * 7 + [explained]}).status_code == 200
            answer = client.post(V2, json={"inputs": tensors(5), "outputs": [{"name": "lsd"}]})
            assert answer.status_code == 200
            stub = pb_grpc.DrugPredictionStub(channel)
            stub.Predict(pb.PredictRequest(profile=MESSAGE))
            stub.PredictBatch(pb.PredictBatchRequest(profiles=[MESSAGE] * 3))
            chunk = pb.PredictStreamRequest(
                **{name: [getattr(MESSAGE, "band" if name == "age" else name)] * 11 for name in INPUTS}
            )
            assert len(list(stub.PredictStream(iter([chunk, chunk])))) == 2
            inputs = [
                v2.ModelInferRequest.InferInputTensor(
                    name=tensor["name"],
                    datatype=tensor["datatype"],
                    shape=[2],
                    contents=v2.InferTensorContents(
                        **{
                            "bytes_contents" if tensor["datatype"] == "BYTES" else "fp64_contents": [
                                each.encode() if isinstance(each, str) else each for each in tensor["data"]
                            ]
                        }
                    ),
                )
                for tensor in tensors(2)
            ]
            v2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(
                v2.ModelInferRequest(model_name="drug_consumption", inputs=inputs)
            )
        asked += 1 + 1 + 8 + 5 + 1 + 3 + 22 + 2
    return asked


class Counts:
    """Samples of a server."""

    def __init__(self, samples):
        self.samples = list(samples)

    def __sub__(self, earlier):
        return Counts(self.samples + [sample._replace(value=-sample.value) for sample in earlier.samples])

    def total(self, name, **labels):
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())


def scraped(server):
    """The metrics of a server once all answers are counted."""
    time.sleep(2)
    with server.client() as client:
        text = client.get("/metrics").text
    return Counts(sample for family in text_string_to_metric_families(text) for sample in family.samples)


def check(counts, profiles):
    assert counts.total("drugpred_profiles_total") == profiles
    assert [counts.total("drugpred_input_total", feature=name) for name in INPUTS] == [profiles] * 12
    assert [counts.total("drugpred_score_total", drug=drug) for drug in DRUGS] == [profiles] * 18


@pytest.fixture(scope="module")
def home(store, tmp_path_factory):
    return copy_of(store, tmp_path_factory.mktemp("monitoring") / "bentoml")


@pytest.fixture(scope="module")
def own(serve, home):
    """A server for the tests of this module."""
    with serve(home, DRUGPRED_FEEDBACK_KEY=KEY) as server:
        yield server


@pytest.mark.slow
def test_a_server_that_starts_in_the_same_home_leaves_the_counts_of_another(serve, own, home):
    before = scraped(own)
    with own.client() as client:
        assert client.post("/predict", json=EXAMPLE).status_code == 200
        with serve(home) as second:
            assert scraped(second).total("drugpred_profiles_total") == 0
            assert client.post("/predict", json=EXAMPLE).status_code == 200
            assert (scraped(own) - before).total("drugpred_profiles_total") == 2


@pytest.mark.slow
def test_two_workers_and_another_server_count_the_profiles_sent(serve, own, copied_store):
    before = scraped(own)
    options = {"BENTOML_CONFIG_OPTIONS": "services.drugpred.workers=2", "DRUGPRED_FEEDBACK_KEY": KEY}
    with serve(copied_store, **options) as server:
        asked = ask_every_way(server, 12)
        check(scraped(server), asked)
        with server.client() as client:
            drift = client.get("/drift").json()
            assert {shift["n"] for shift in (*drift["inputs"].values(), *drift["scores"].values())} == {asked}
            assert drift["inputs"]["age"]["drifted"]
        others = ask_every_way(own, 4)
        # Feedback goes to another replica than the one that answered.
        with server.client() as first, own.client() as second:
            answer = first.post("/predict", json=EXAMPLE | {"drugs": ["lsd"]}).json()
            feedback = {"prediction_id": answer["prediction_id"], "outcomes": {"lsd": True}}
            assert second.post("/feedback", json=feedback).json() == {"accepted": 1}
            assert second.post("/feedback", json=feedback).status_code == 409
        last = ask_every_way(server, 2)  # and at once comes SIGTERM
    check(Counts(left_by(copied_store)), asked + 1 + last)
    counts = scraped(own) - before
    check(counts, others)
    assert counts.total("drugpred_feedback_total", result="accepted") == 1
    assert counts.total("drugpred_feedback_total", result="repeated") == 1
    (probability,) = (risk["probability"] for risk in answer["risks"])
    brier = counts.total("drugpred_brier_total", drug="lsd", window="decade")
    assert brier == pytest.approx((1 - probability) ** 2, abs=1e-4)


@pytest.mark.slow
def test_refused_values_are_counted_by_their_field(own):
    before = scraped(own)
    with own.client() as client:
        assert client.post("/predict", json=EXAMPLE | {"neuroticism": 71.7}).status_code == 400
        assert client.post("/predict_batch", json={"profiles": [EXAMPLE | {"country": "Nowhere"}]}).status_code == 400
        assert client.post(V2, json={"inputs": tensors(1)[1:]}).status_code == 400
    with grpc.insecure_channel(own.grpc) as channel, pytest.raises(grpc.RpcError):
        pb_grpc.DrugPredictionStub(channel).Predict(pb.PredictRequest())
    counts = scraped(own) - before
    assert counts.total("drugpred_refused_total", field="neuroticism", reason="range") == 1
    assert counts.total("drugpred_refused_total", field="country", reason="category") == 1
    assert counts.total("drugpred_refused_total", field="age", reason="missing") == 2
    assert counts.total("drugpred_profiles_total") == 0


@pytest.mark.slow
def test_the_model_and_the_reference_are_shown(own, stored_model):
    counts = scraped(own)
    assert counts.total("drugpred_model_info", model=stored_model.tag, data_source="uci") == 1
    for name in INPUTS:
        assert counts.total("drugpred_reference_ratio", feature=name) == pytest.approx(1)
    assert counts.total("drugpred_reference_respondents") == 1885
    assert (
        counts.total("drugpred_base_rate", drug="lsd", window="year")
        == stored_model.card.drugs["lsd"]["year"].base_rate
    )


@pytest.mark.slow
def test_unknown_paths_make_no_series(own):
    before = scraped(own)
    with own.client() as client:
        for i in range(30):
            client.get(f"/scan-{i}")
            client.post(f"/v2/models/scan-{i}/infer", json={})
        assert "scan-" not in client.get("/metrics").text
    unknown = {"endpoint": "other", "http_response_code": "404"}
    assert (scraped(own) - before).total("bentoml_service_request_total", **unknown) == 60


@pytest.mark.slow
def test_no_marked_value_is_found_after_a_run(own, home):
    scores = {"neuroticism": 1.234567, "extraversion": -0.987654, "openness": 0.456789, "impulsivity": 1.113579}
    with own.client() as client:
        answers = [
            client.post("/predict", json=EXAMPLE | scores),
            client.post("/predict_batch", json={"profiles": [EXAMPLE | scores] * 3}),
            client.post("/predict", json=EXAMPLE | scores | {"agreeableness": 765.4321}),
            client.post("/feedback", json={"prediction_id": "MARKED-ID", "outcomes": {"MARKED-DRUG": True}}),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 400, 400]
        token = answers[0].json()["prediction_id"]
        assert client.post("/feedback", json={"prediction_id": token, "outcomes": {"lsd": True}}).status_code == 200
        said = [answer.content for answer in answers[2:]] + [
            client.get(path).content for path in ("/metrics", "/drift")
        ]
        time.sleep(2)
        files = [path for folder in (home, own.temporary) for path in folder.rglob("*") if path.is_file()]
        said += [path.read_bytes() for path in files]
    marks = [str(value).strip("-") for value in (*scores.values(), 765.4321)] + ["MARKED-ID", "MARKED-DRUG", token]
    assert [mark for mark in marks if any(re.search(re.escape(mark).encode(), text) for text in said)] == []
    assert any(path.name.startswith("feedback.sqlite") for path in files)
