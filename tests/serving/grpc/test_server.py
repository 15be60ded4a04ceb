"""The server: health, reflection, limits, TLS, and how it ends."""

import asyncio
import importlib
import logging
import socket
import threading
import time
from contextlib import ExitStack, suppress
from hashlib import sha256
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from drugpred.proto.drugpred.v1 import drug_prediction_pb2 as pb
from drugpred.proto.drugpred.v1 import drug_prediction_pb2_grpc as pb_grpc
from drugpred.proto.inference import grpc_service_pb2 as inference
from drugpred.proto.inference import grpc_service_pb2_grpc as inference_grpc
from drugpred.serving import patches
from drugpred.serving.grpc import interceptor, timeouts
from drugpred.serving.grpc import server as server_module
from drugpred.serving.patches import grpc_unary

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ["drugpred.v1.DrugPrediction", "inference.GRPCInferenceService"]


@pytest.fixture
def own(serving, scorer):
    """A server for the test alone, and a channel to it."""
    with serving(scorer) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield server, channel


def health(channel, service=""):
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service)).status


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_every_service_is_healthy(channel, service):
    assert health(channel, service) == SERVING


def test_the_health_of_an_unknown_service_is_not_found(channel):
    with pytest.raises(grpc.RpcError) as caught:
        health(channel, "made.Up")
    assert caught.value.code() is StatusCode.NOT_FOUND


def test_reflection_has_all_that_a_client_needs(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) == {
        *SERVICES,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    service = DescriptorPool(database).FindServiceByName(SERVICES[0])
    assert [method.name for method in service.methods] == ["Predict", "PredictBatch", "PredictStream", "GetModel"]
    fields = [
        field.name
        for field in service.methods_by_name["Predict"].input_type.fields_by_name["profile"].message_type.fields
    ]
    assert fields == [field.name for field in pb.Profile.DESCRIPTOR.fields]


def test_a_message_of_over_4_mib_is_refused_and_the_server_continues(channel, stub, real, message_of):
    many = pb.PredictBatchRequest(profiles=[message_of(real.X[0], drugs=range(1, 19))] * 50_000)
    assert many.ByteSize() > 2 * 2**20
    for call in (
        lambda: stub.PredictBatch(many),
        lambda: list(stub.PredictStream(iter([pb.PredictStreamRequest(age=[1] * 5 * 2**20)]))),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert health(channel) == SERVING


def test_headers_of_over_16_kib_are_refused_and_the_server_continues(channel, stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetModel(pb.GetModelRequest(), metadata=[("x-long", "x" * 20_000)])
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert health(channel) == SERVING


def http2(port, **changed):
    """Send a call of Predict with these fields changed, in frames made by hand; return the answer."""
    fields = {
        ":method": b"POST",
        ":scheme": b"http",
        ":path": b"/drugpred.v1.DrugPrediction/Predict",
        ":authority": b"localhost",
        "te": b"trailers",
        "content-type": b"application/grpc",
    } | changed

    def frame(kind, flags, stream, payload):
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    literal = b"".join(b"\0%c%b%c%b" % (len(name), name.encode(), len(value), value) for name, value in fields.items())
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        connection.sendall(frame(1, 4, 1, literal) + frame(0, 1, 1, b"\0\0\0\0\0"))
        received = b""
        while b"grpc-status" not in received:
            received += connection.recv(1000) or b"grpc-status: ended"
        return received


def test_a_method_that_is_not_text_is_unknown_and_the_server_continues(server, channel, stub):
    assert b"grpc-status\x0212" in http2(server.port, **{":path": b"/\xff/\xff"})
    assert health(channel) == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/drugpred.v1.DrugPrediction/Nothing")(b"")
    assert caught.value.code() is StatusCode.UNIMPLEMENTED
    assert stub.GetModel(pb.GetModelRequest()).model


@pytest.mark.parametrize("id_", ["of-the-caller", "not one id", None])
@pytest.mark.parametrize("method", ["Predict", "PredictBatch", "GetModel", "Nothing"])
def test_each_call_ends_with_an_id(channel, method, id_):
    metadata = [("x-request-id", id_)] if id_ else None
    calling = channel.stream_stream(f"/drugpred.v1.DrugPrediction/{method}")(iter([b""]), metadata=metadata)
    with suppress(grpc.RpcError):
        list(calling)
    trailing = dict(calling.trailing_metadata())["x-request-id"]
    assert trailing == id_ if id_ == "of-the-caller" else len(trailing) == 32


def test_excess_calls_are_refused_with_a_retry_time(serving, scorer, monkeypatch, message_of, chunk_of, real):
    monkeypatch.setattr(interceptor, "MAX_CALLS", 1)
    with serving(scorer) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = pb_grpc.DrugPredictionStub(channel)
        ended = threading.Event()

        def silence():
            yield chunk_of(real.X[:2])
            ended.wait(60)

        stream = stub.PredictStream(silence())
        deadline = time.monotonic() + 30
        code = None
        while code is None and time.monotonic() < deadline:
            if stream.done():  # it came while GetModel was answered, and was the one that is refused
                stream = stub.PredictStream(silence())
            try:
                stub.GetModel(pb.GetModelRequest())
            except grpc.RpcError as error:
                code, details = error.code(), error.details()
        assert (code, details) == (StatusCode.UNAVAILABLE, "overloaded; try again later")
        assert stub.Predict(pb.PredictRequest(profile=message_of(real.X[0]))).prediction.risks
        assert health(channel) == SERVING
        stream.cancel()
        ended.set()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(grpc.RpcError):
                assert stub.GetModel(pb.GetModelRequest()).model
                break
        else:
            pytest.fail("what the stream held is not given back")


def test_a_connection_more_than_are_held_is_closed(serving, scorer, monkeypatch):
    options = tuple(each for each in server_module._OPTIONS if each[0] != "grpc.max_allowed_incoming_connections")
    monkeypatch.setattr(server_module, "_OPTIONS", (*options, ("grpc.max_allowed_incoming_connections", 3)))
    with serving(scorer) as server, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one_more:
            assert one_more.recv(1) == b""


# --- who may call

SCOPES = {
    "predict": {"Predict", "PredictBatch", "PredictStream", "ModelInfer"},
    "read": {"GetModel", "ServerMetadata", "ModelMetadata"},
    None: {"ServerLive", "ServerReady", "ModelReady"},
}
METHODS = [
    f"{service.full_name}/{method}"
    for module in (pb, inference)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods_by_name
]


@pytest.fixture(scope="module")
def scoped(serving, scorer):
    """Return a function that calls a method with a key for one scope, and returns its status code."""
    keys = ";".join(f"{scope} {scope} {sha256(scope.encode()).hexdigest()}" for scope in ("predict", "read", "metrics"))

    def code(method, key):
        metadata = [] if key is None else [("x-api-key", key)]
        try:
            list(channel.stream_stream(f"/{method}")(iter([b""]), timeout=60, metadata=metadata))
        except grpc.RpcError as error:
            return error.code()
        return StatusCode.OK

    with serving(scorer, api_keys=keys) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield code


@pytest.mark.parametrize("method", METHODS)
def test_each_method_has_its_scope(scoped, method):
    (needed,) = (scope for scope, methods in SCOPES.items() if method.partition("/")[2] in methods)
    keys = {"predict", "read", "metrics"}
    refused = {key for key in keys if scoped(method, key) is StatusCode.PERMISSION_DENIED}
    assert refused == (keys - {needed} if needed else set())
    assert (scoped(method, None) is StatusCode.UNAUTHENTICATED) == bool(needed)


def test_each_message_of_a_stream_counts_towards_the_rate(serving, scorer, chunk_of, real):
    answers = []
    with (
        serving(scorer, rate_limit="3/hour") as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        answers.extend(pb_grpc.DrugPredictionStub(channel).PredictStream(iter([chunk_of(real.X[:2])] * 5)))
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert len(answers) <= 3


# --- calls without a message

KEY = "right-key-of-this-test"
KEYED = [("x-api-key", KEY)]
KEYLESS = ["ServerLive", "ServerReady", "ModelReady"]


@pytest.fixture(scope="module")
def guarded(serving, scorer):
    """A server that wants a key, and a channel to it."""
    keys = f"somebody predict,read {sha256(KEY.encode()).hexdigest()}"
    with serving(scorer, api_keys=keys) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


@pytest.fixture
def silent():
    """Return a function that begins calls that send no message while the test runs."""
    ended = threading.Event()

    def silence():
        ended.wait(60)
        yield b""

    def begin(channel, method, n, metadata=None):
        return [channel.stream_stream(f"/{method}")(silence(), timeout=60, metadata=metadata) for _ in range(n)]

    yield begin
    ended.set()


def test_unauthorized_calls_are_refused_before_a_message_arrives(guarded, silent):
    for method in ("PredictBatch", "PredictStream", "GetModel", "Predict"):
        (call,) = silent(guarded, f"drugpred.v1.DrugPrediction/{method}", 1)
        started = time.monotonic()
        assert call.code() is StatusCode.UNAUTHENTICATED
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "method", [*(f"inference.GRPCInferenceService/{each}" for each in KEYLESS), "grpc.health.v1.Health/Check"]
)
def test_silent_calls_that_need_no_key_shut_out_nobody(guarded, silent, method):
    calls = silent(guarded, method, 70)
    time.sleep(0.3)
    stub = pb_grpc.DrugPredictionStub(guarded)
    assert stub.GetModel(pb.GetModelRequest(), metadata=KEYED, timeout=10).model
    with pytest.raises(grpc.RpcError) as caught:
        stub.PredictBatch(pb.PredictBatchRequest(), metadata=KEYED, timeout=10)
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT
    assert inference_grpc.GRPCInferenceServiceStub(guarded).ServerLive(inference.ServerLiveRequest(), timeout=10).live
    assert health(guarded) == SERVING
    ended = [call.code() for call in calls[:40] if call.done()]
    assert set(ended) == {StatusCode.UNAVAILABLE}
    for call in calls:
        call.cancel()


@pytest.mark.parametrize("method", ["PredictBatch", "GetModel", "PredictStream", "Predict"])
def test_silent_calls_with_a_key_shut_out_nobody(guarded, silent, method, message_of, real):
    calls = silent(guarded, f"drugpred.v1.DrugPrediction/{method}", 90, KEYED)
    time.sleep(0.3)
    stub = pb_grpc.DrugPredictionStub(guarded)
    for _ in range(5):
        assert stub.GetModel(pb.GetModelRequest(), metadata=KEYED, timeout=10).model
        request = pb.PredictRequest(profile=message_of(real.X[0]))
        assert stub.Predict(request, metadata=KEYED, timeout=10).prediction.risks
    for call in calls:
        call.cancel()


SMALL_WINDOW = [
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1024),
    ("grpc.use_local_subchannel_pool", 1),
]


def test_a_call_whose_message_does_not_come_ends(guarded, silent, monkeypatch):
    monkeypatch.setattr(grpc_unary, "REQUEST_TIMEOUT", 0.2)
    monkeypatch.setattr(timeouts, "REQUEST_TIMEOUT", 0.2)
    for method in ("PredictBatch", "PredictStream", "GetModel", "Predict"):
        (call,) = silent(guarded, f"drugpred.v1.DrugPrediction/{method}", 1, KEYED)
        assert (call.code(), call.details()) == (StatusCode.DEADLINE_EXCEEDED, "expected a request within 0 seconds")


def test_long_answers_that_nobody_takes_are_bounded_and_given_back(serving, scorer, chunk_of, real, monkeypatch):
    monkeypatch.setattr(interceptor, "MAX_UNREAD_MESSAGE_BYTES", 3 * 2**20)
    monkeypatch.setattr(interceptor, "WRITE_TIMEOUT", 0.5)
    chunk = chunk_of(np.resize(real.X, (10_000, 12)))
    with serving(scorer) as server:
        address = f"127.0.0.1:{server.port}"
        with grpc.insecure_channel(address) as channel:
            stub = pb_grpc.DrugPredictionStub(channel)
            with grpc.insecure_channel(address, SMALL_WINDOW) as other:
                # The answers have 1.4 MB each, of which two fit.
                untaken = [pb_grpc.DrugPredictionStub(other).PredictStream(iter([chunk])) for _ in range(2)]
                deadline = time.monotonic() + 20
                code = None
                while code is None and time.monotonic() < deadline:
                    try:
                        list(stub.PredictStream(iter([chunk]), timeout=20))
                    except grpc.RpcError as error:
                        code, details = error.code(), error.details()
                assert (code, details) == (StatusCode.UNAVAILABLE, "overloaded; try again later")
                assert stub.GetModel(pb.GetModelRequest(), timeout=10).model  # short ones are not held up
                assert len(untaken) == 2
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:  # the client has left
                with suppress(grpc.RpcError):
                    assert list(stub.PredictStream(iter([chunk]), timeout=20))
                    return
            pytest.fail("what nobody took is not given back")


def test_metadata_that_is_not_text_is_not_logged(server, caplog):
    with caplog.at_level(logging.DEBUG):
        assert b"grpc-status\x013" in http2(server.port, **{"x-api-key": b"\xffsecret"})
    assert "secret" not in caplog.text


# --- TLS


def ask_with(port, credentials):
    options = [("grpc.ssl_target_name_override", "localhost")]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        return pb_grpc.DrugPredictionStub(channel).GetModel(pb.GetModelRequest(), timeout=10).model


@pytest.fixture(scope="module")
def pem(certificates):
    return {path.name: path.read_bytes() for path in certificates.iterdir()}


def refused(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is StatusCode.UNAVAILABLE


def test_with_a_certificate_there_is_tls_alone(serving, scorer, certificates, pem):
    files = {"grpc_certificate": certificates / "server.pem", "grpc_key": certificates / "server.key"}
    with serving(scorer, **files) as server:
        assert ask_with(server.port, grpc.ssl_channel_credentials(pem["ca.pem"])) == scorer.model.tag
        refused(lambda: ask_with(server.port, grpc.ssl_channel_credentials(pem["other.pem"])))
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            refused(lambda: health(channel))


def test_with_a_client_ca_clients_need_a_certificate_of_it(serving, scorer, certificates, pem):
    names = {"grpc_certificate": "server.pem", "grpc_key": "server.key", "grpc_client_ca": "ca.pem"}
    with serving(scorer, **{name: certificates / file for name, file in names.items()}) as server:
        known = grpc.ssl_channel_credentials(pem["ca.pem"], pem["client.key"], pem["client.pem"])
        assert ask_with(server.port, known) == scorer.model.tag
        refused(lambda: ask_with(server.port, grpc.ssl_channel_credentials(pem["ca.pem"])))
        stranger = grpc.ssl_channel_credentials(pem["ca.pem"], pem["other.key"], pem["other.pem"])
        refused(lambda: ask_with(server.port, stranger))


# --- the end


def test_the_end_is_announced_and_calls_are_still_taken(own, run):
    server, channel = own
    watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICES[0]))
    assert next(watching).status == SERVING
    run(server.announce_end())
    assert next(watching).status == NOT_SERVING
    assert [health(channel, service) for service in ("", *SERVICES)] == [NOT_SERVING] * 3
    assert pb_grpc.DrugPredictionStub(channel).GetModel(pb.GetModelRequest()).model
    watching.cancel()


def test_the_inference_protocol_reports_the_health(own, run, scorer):
    server, channel = own
    stub = inference_grpc.GRPCInferenceServiceStub(channel)
    name, _, version = scorer.model.tag.partition(":")

    def readiness():
        models = [inference.ModelReadyRequest(name=name, version=each) for each in ("", version)]
        return [stub.ServerReady(inference.ServerReadyRequest()), *map(stub.ModelReady, models)]

    assert [answer.ready for answer in readiness()] == [True] * 3
    run(server.announce_end())
    assert [answer.ready for answer in readiness()] == [False] * 3
    assert stub.ServerLive(inference.ServerLiveRequest()).live
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelReady(inference.ModelReadyRequest(name="zebra"))
    assert caught.value.code() is StatusCode.NOT_FOUND


def test_calls_that_were_taken_are_answered_and_no_others(own, run, real, chunk_of):
    server, channel = own
    stub = pb_grpc.DrugPredictionStub(channel)
    going = threading.Event()

    def chunks():
        yield chunk_of(real.X[:5], chunk=1)
        going.wait(30)
        yield chunk_of(real.X[:5], chunk=2)

    stream = stub.PredictStream(chunks())
    assert next(stream).chunk == 1
    stopping = threading.Thread(target=run, args=(server.stop(),))
    stopping.start()
    time.sleep(1)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as other:
        refused(lambda: health(other))
    assert stopping.is_alive()
    going.set()
    assert [answer.chunk for answer in stream] == [2]
    stopping.join()


def test_a_call_that_does_not_end_is_ended(own, run, real, chunk_of):
    server, channel = own
    going = threading.Event()

    def chunks():
        yield chunk_of(real.X[:5])
        going.wait(30)

    stream = pb_grpc.DrugPredictionStub(channel).PredictStream(chunks())
    next(stream)
    run(server.stop(0.2))
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    assert caught.value.code() in {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}
    going.set()


def test_a_health_watch_delays_nothing(own, run):
    server, channel = own
    watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watching).status == SERVING
    run(server.stop(1e6))
    assert next(watching).status == NOT_SERVING
    with pytest.raises(grpc.RpcError):
        next(watching)


def test_arrived_calls_are_answered_after_accepting_ends(own, run, monkeypatch):
    server, channel = own
    sent, order = threading.Event(), []
    stop = server._server.stop

    async def stop_late():
        sent.wait(30)  # the event loop does nothing else
        await server.stop()

    def stop_taking(grace):
        order.append("stop")
        return stop(grace)

    monkeypatch.setattr(server._server, "stop", stop_taking)
    stub = pb_grpc.DrugPredictionStub(channel)
    stub.GetModel(pb.GetModelRequest())
    stopping = threading.Thread(target=run, args=(stop_late(),))
    stopping.start()
    calls = [stub.GetModel.future(pb.GetModelRequest()) for _ in range(50)]
    for call in calls:
        call.add_done_callback(lambda _: order.append("answer"))
    time.sleep(0.5)
    sent.set()
    assert [call.exception() for call in calls] == [None] * len(calls)
    stopping.join()
    # A client with an answer tries another server.
    assert order[0] == "stop"


def test_a_busy_process_answers_the_calls_that_arrived(own, run, monkeypatch):
    """Each of them needs some turns of the event loop."""
    monkeypatch.setattr("drugpred.serving.grpc.server._QUIET", 0.02)
    server, channel = own
    sent = threading.Event()

    async def stop_slowly():
        sent.wait(30)
        stopping = asyncio.create_task(server.stop())
        while not stopping.done():
            time.sleep(0.01)
            await asyncio.sleep(0)

    stub = pb_grpc.DrugPredictionStub(channel)
    stub.GetModel(pb.GetModelRequest())
    stopping = threading.Thread(target=run, args=(stop_slowly(),))
    stopping.start()
    calls = [stub.GetModel.future(pb.GetModelRequest()) for _ in range(10)]
    time.sleep(0.5)
    sent.set()
    assert [call.exception() for call in calls] == [None] * len(calls)
    stopping.join()


def test_clients_that_keep_coming_do_not_keep_it_from_ending(own, run, real, message_of):
    server, channel = own
    stub = pb_grpc.DrugPredictionStub(channel)
    request = pb.PredictRequest(profile=message_of(real.X[0]))
    ended = threading.Event()

    def come():
        while not ended.wait(0.01):
            stub.Predict.future(request)

    coming = threading.Thread(target=come)
    coming.start()
    try:
        run(server.stop())
    finally:
        ended.set()
        coming.join()


# --- grpcio without its private parts


@pytest.fixture(params=["AioServer", "Server", "CompletionQueue", "ReceiveMessageOperation"])
def missing(request, monkeypatch):
    """A release of grpcio that has a part no more on which the lane stands; what its own modules use they have."""
    monkeypatch.setattr(patches, "_applied", {})
    public = SimpleNamespace(**vars(grpc_unary.cygrpc))
    for module in ("grpc.aio._server", "grpc._channel"):
        monkeypatch.setattr(importlib.import_module(module), "cygrpc", public)
    monkeypatch.delattr(grpc_unary.cygrpc, request.param)
    return request.param


def test_without_the_patch_grpc_aio_answers_all(missing, serving, scorer, message_of, real, caplog):
    patches.apply(["grpc_unary"])
    (line,) = (record.getMessage() for record in caplog.records)
    assert line == f"without the patch grpc_unary: module 'grpc._cython.cygrpc' has no attribute '{missing}'"
    with serving(scorer) as server:
        assert server._unary is None
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = pb_grpc.DrugPredictionStub(channel)
            request = pb.PredictRequest(profile=message_of(real.X[0]))
            assert stub.Predict(request, timeout=10).prediction.risks
            assert stub.GetModel(pb.GetModelRequest(), timeout=10).model
            assert health(channel) == SERVING
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary("/drugpred.v1.DrugPrediction/Nothing")(b"", timeout=10)
            assert caught.value.code() is StatusCode.UNIMPLEMENTED
