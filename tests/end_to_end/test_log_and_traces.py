"""The id in an answer is found in the log of the server and in the trace."""

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb_trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_trace_grpc

from drugpred.codebook import SCORES
from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.schemas import EXAMPLE
from tests.harness import ROOT, wait

pytestmark = pytest.mark.slow

SECRET = "2345678"
PERSON = EXAMPLE | {"openness": float(f"1.{SECRET}")}
TRACE = "0af7651916cd43dd8448eb211c80319c"

# Every prediction fails.
FAULTY = """

def _fail(self, *arguments):
    raise ArithmeticError(repr(arguments))


Scorer.predict_arrays = Scorer.predict = Scorer.predict_proba = _fail
"""


class Collector(pb_trace_grpc.TraceServiceServicer):
    """A collector of OpenTelemetry that keeps spans, each with its attributes."""

    def __init__(self):
        self.spans = []

    def Export(self, request, context):
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append((span, {each.key: each.value for each in span.attributes}))
        return pb_trace.ExportTraceServiceResponse()

    def with_id(self, request_id):
        """Return the spans with an id."""
        keys = {"http.response.header.x_request_id", "rpc.response.metadata.x-request-id"}
        return [
            span
            for span, attributes in self.spans
            if any(f'"{request_id}"' in str(attributes[key]) for key in keys & attributes.keys())
        ]


@pytest.fixture(scope="module")
def collector():
    server, collector = grpc.server(ThreadPoolExecutor(1)), Collector()
    pb_trace_grpc.add_TraceServiceServicer_to_server(collector, server)
    collector.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collector
    server.stop(None)


@pytest.fixture(scope="module")
def traced(serve, store, collector, tmp_path_factory):
    """A server whose predictions fail, which writes JSON and sends traces."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("drugpred", "configs", "bentofile.yaml", "pyproject.toml", "README.md", "LICENSE"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "service.py").write_text((ROOT / "service.py").read_text() + FAULTY)
    tracing = {
        "excluded_urls": "livez",
        "sample_rate": "1.0",
        "exporter_type": "otlp",
        "otlp.protocol": "grpc",
        "otlp.endpoint": f"http://127.0.0.1:{collector.port}",
        "otlp.grpc.insecure": "true",
    }
    options = "\n".join(f"services.drugpred.tracing.{name}={value}" for name, value in tracing.items())
    environment = {"PYTHONPATH": str(folder), "BENTOML_CONFIG_OPTIONS": options, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with serve(store, folder=folder, DRUGPRED_LOG_FORMAT="json", **environment) as server:
        yield server


@pytest.fixture(params=["the caller's id", "a trace", "neither"])
def identified(request, traced):
    """The id in the answer to a request that fails, and the trace that the caller began."""
    sent = {"the caller's id": {"x-request-id": "order/66"}, "a trace": {"traceparent": f"00-{TRACE}-{'b' * 16}-01"}}
    with traced.client() as client:
        answer = client.post("/predict", json=PERSON, headers=sent.get(request.param))
    assert answer.status_code == 500
    request_id = answer.headers["x-request-id"]
    assert request_id == {"the caller's id": "order/66", "a trace": TRACE}.get(request.param, request_id)
    return request_id


def logged(server, request_id):
    """Return the line of the log with an id."""
    wait(lambda: f'"{request_id}"' in server.output, "the line")
    (line,) = [line for line in map(json.loads, server.output.splitlines()) if line.get("request_id") == request_id]
    return line


def test_the_id_in_an_answer_is_in_the_log_and_in_the_trace(traced, collector, identified):
    line = logged(traced, identified)
    assert line["message"].startswith("ArithmeticError in ")
    wait(lambda: collector.with_id(identified), "the span")
    (span,) = collector.with_id(identified)
    assert (span.name, span.kind) == ("POST /predict", span.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.span_id.hex()) == (line["trace_id"], line["span_id"])
    if identified == TRACE:
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, "b" * 16)
    assert SECRET not in str(collector.spans) + traced.output


@pytest.mark.parametrize(("method", "trace"), [("Predict", "a" * 32), ("PredictBatch", "c" * 32)])
@pytest.mark.parametrize("sent", ["the caller's id", "a trace", "neither"])
def test_the_id_that_ends_a_call_is_in_the_log_and_in_the_trace(traced, collector, method, trace, sent):
    scores = {score.name: PERSON[score.name] for score in SCORES}
    profile = pb.Profile(years=25, gender=1, education=9, country=6, ethnicity=7, **scores)
    request = pb.PredictRequest(profile=profile) if method == "Predict" else pb.PredictBatchRequest(profiles=[profile])
    known = {"the caller's id": ("x-request-id", method), "a trace": ("traceparent", f"00-{trace}-{'d' * 16}-01")}
    metadata = [known[sent]] if sent in known else []
    with grpc.insecure_channel(traced.grpc) as channel, pytest.raises(grpc.RpcError) as failed:
        getattr(pb_grpc.DrugPredictionStub(channel), method)(request, metadata=metadata)
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    request_id = dict(failed.value.trailing_metadata())["x-request-id"]
    assert request_id == {"the caller's id": method, "a trace": trace}.get(sent, request_id)
    line = logged(traced, request_id)
    assert f"ArithmeticError in drugpred.v1.DrugPrediction/{method}" in line["message"]
    wait(lambda: collector.with_id(request_id), "the span")
    (span,) = collector.with_id(request_id)
    assert (span.name, span.kind) == (f"drugpred.v1.DrugPrediction/{method}", span.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.span_id.hex()) == (line["trace_id"], line["span_id"])
    assert span.status.code == span.status.STATUS_CODE_ERROR
    if sent == "a trace":
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (trace, "d" * 16)
    assert SECRET not in str(collector.spans) + traced.output


def test_a_refused_call_has_a_span_without_an_error(traced, collector):
    with grpc.insecure_channel(traced.grpc) as channel, pytest.raises(grpc.RpcError):
        pb_grpc.DrugPredictionStub(channel).Predict(pb.PredictRequest(), metadata=(("x-request-id", "empty"),))
    wait(lambda: collector.with_id("empty"), "the span")
    (span,) = collector.with_id("empty")
    attributes = {each.key: each.value.string_value for each in span.attributes}
    assert attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert attributes["client.address"] == "127.0.0.1"
    assert span.status.code == span.status.STATUS_CODE_UNSET


def test_every_line_of_the_log_is_an_object(traced):
    lines = [json.loads(line) for line in traced.output.splitlines()]
    assert {"level", "logger", "component", "message", "time"} <= set.intersection(*map(set, lines))
    assert any(line["logger"] == "bentoml.drugpred" for line in lines)
    assert all(line["message"] for line in lines)
