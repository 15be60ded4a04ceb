"""How calls end, through a real channel to handlers that go wrong."""

import asyncio
import logging
import os
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress

import grpc
import pytest
from grpc import StatusCode
from prometheus_client import REGISTRY

from drugpred.errors import Fault, InvalidArgumentError
from drugpred.serving.access.policy import AccessPolicy
from drugpred.serving.grpc import interceptor
from drugpred.serving.grpc.interceptor import CallInterceptor
from drugpred.settings import Settings

SECRET = "161803398874"


class MethodRegistry:
    """Methods that take and return text, and a record of their calls."""

    def __init__(self):
        self.began, self.ended = Counter(), Counter()

    async def echo(self, request, context):
        self.began["echo"] += 1
        return request

    async def fail(self, request, context):
        raise ValueError(f"no {request} here")

    async def refuse(self, request, context):
        raise InvalidArgumentError([Fault(("age",), "expected a number")])

    async def end(self, request, context):
        await context.abort(StatusCode.NOT_FOUND, "not this one")

    async def sleep(self, request, context):
        self.began["sleep"] += 1
        try:
            await asyncio.sleep(60)
        finally:
            self.ended["sleep"] += 1

    def block(self, request, context):
        time.sleep(0.3)  # the event loop does nothing else
        return self.echo(request, context)

    async def echoes(self, requests, context):
        async for request in requests:
            self.began["echoes"] += 1
            if request == SECRET:
                raise ValueError(f"no {request} here")
            yield request

    async def count(self, request, context):
        for number in range(3):
            await context.write(f"{request}{number}")

    async def join(self, requests, context):
        return "".join([request async for request in requests])


@pytest.fixture(scope="module")
def handlers():
    return MethodRegistry()


@pytest.fixture(scope="module")
def channel(run, handlers):
    text = (bytes.decode, None)  # grpc itself encodes text
    unary = {name: getattr(handlers, name) for name in ("echo", "fail", "refuse", "end", "sleep")}
    unary["block"] = handlers.block
    methods = {name: grpc.unary_unary_rpc_method_handler(behaviour, *text) for name, behaviour in unary.items()}
    methods["echoes"] = grpc.stream_stream_rpc_method_handler(handlers.echoes, *text)
    methods["count"] = grpc.unary_stream_rpc_method_handler(handlers.count, *text)
    methods["join"] = grpc.stream_unary_rpc_method_handler(handlers.join, *text)

    async def start():
        server = grpc.aio.server(interceptors=[CallInterceptor(AccessPolicy.from_settings(Settings()))])
        server.add_registered_method_handlers("test.Service", methods)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = run(start())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    run(server.stop(None))


@pytest.fixture(scope="module")
def ended(channel):
    """Return the code and text of what a call is ended with."""

    def ask(name, request, timeout=None):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/test.Service/{name}")(request, timeout=timeout)
        return caught.value.code(), caught.value.details()

    return ask


def count(method, code):
    return REGISTRY.get_sample_value("drugpred_grpc_requests_total", {"method": method, "code": code}) or 0


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_successful_calls_pass(channel):
    assert channel.unary_unary("/test.Service/echo")(b"hello") == b"hello"
    assert list(channel.stream_stream("/test.Service/echoes")(iter([b"a", b"b"]))) == [b"a", b"b"]
    assert list(channel.unary_stream("/test.Service/count")(b"n")) == [b"n0", b"n1", b"n2"]
    assert channel.stream_unary("/test.Service/join")(iter([b"a", b"b"])) == b"ab"


@pytest.mark.parametrize("name", ["echo", "refuse", "end", "fail"])
def test_every_call_ends_with_its_id(channel, name, caplog):
    calling = channel.stream_stream(f"/test.Service/{name}")(iter([b"a"]), metadata=[("x-request-id", "of-the-caller")])
    with suppress(grpc.RpcError):
        list(calling)
    assert [value for key, value in calling.trailing_metadata() if key == "x-request-id"] == ["of-the-caller"]
    assert len(calling.trailing_metadata()) == 1 + (name == "refuse")  # with a google.rpc.BadRequest
    assert [record.request for record in caplog.records] == ["of-the-caller"] * (name == "fail")


@pytest.mark.parametrize(
    ("name", "request_", "code"),
    [
        ("refuse", b"", StatusCode.INVALID_ARGUMENT),
        ("end", b"", StatusCode.NOT_FOUND),
        ("fail", SECRET.encode(), StatusCode.INTERNAL),
    ],
)
def test_each_call_is_counted_by_its_code(ended, name, request_, code):
    before = count(f"test.Service/{name}", code.name)
    assert ended(name, request_)[0] is code
    wait_until(lambda: count(f"test.Service/{name}", code.name) == before + 1)


def test_calls_are_timed(channel):
    def sample(name):
        return REGISTRY.get_sample_value(name, {"method": "test.Service/echo"}) or 0

    name = "drugpred_grpc_request_duration_seconds"
    before = sample(f"{name}_count"), sample(f"{name}_sum")
    channel.unary_unary("/test.Service/echo")(b"hello")
    wait_until(lambda: sample(f"{name}_count") == before[0] + 1)
    assert 0 < sample(f"{name}_sum") - before[1] < 30


def test_a_fault_reveals_no_sent_value(ended, channel, caplog):
    with caplog.at_level(logging.DEBUG):
        code, details = ended("fail", SECRET.encode())
        with pytest.raises(grpc.RpcError) as caught:
            list(channel.stream_stream("/test.Service/echoes")(iter([b"a", SECRET.encode()])))
    assert code is caught.value.code() is StatusCode.INTERNAL
    assert details == caught.value.details() == "an unexpected error; see the server's log"
    assert "ValueError in test.Service/fail" in caplog.text
    assert "test_interceptor.py" in caplog.text
    assert SECRET not in caplog.text


def test_an_unreadable_message_is_the_callers_mistake(stub_channel, caplog):
    method = "/drugpred.v1.DrugPrediction/Predict"
    with caplog.at_level(logging.DEBUG), pytest.raises(grpc.RpcError) as caught:
        stub_channel.unary_unary(method)(b"\xff\xff\xff")
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "expected a message as the .proto file describes it"
    with caplog.at_level(logging.DEBUG), pytest.raises(grpc.RpcError) as caught:
        list(stub_channel.stream_stream("/drugpred.v1.DrugPrediction/PredictStream")(iter([b"\xff\xff\xff"])))
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT
    assert "rror" not in caplog.text


@pytest.fixture
def stub_channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


def test_names_that_callers_make_up_are_no_series(channel):
    before = count("unknown", "UNIMPLEMENTED")
    for name in ("/test.Service/made-up", "/made.Up/echo"):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(name)(b"")
        assert caught.value.code() is StatusCode.UNIMPLEMENTED
    assert count("unknown", "UNIMPLEMENTED") == before + 2
    labels = {sample.labels.get("method") for family in REGISTRY.collect() for sample in family.samples}
    assert not any("made" in str(label).lower() for label in labels)


def test_the_end_of_the_deadline_ends_the_work(ended, handlers):
    before = count("test.Service/sleep", "DEADLINE_EXCEEDED")
    assert ended("sleep", b"", timeout=0.3)[0] is StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: handlers.began["sleep"] == handlers.ended["sleep"])
    wait_until(lambda: count("test.Service/sleep", "DEADLINE_EXCEEDED") == before + 1)


@pytest.mark.parametrize(
    ("timeout", "after", "code"),
    [
        (None, 0.3, StatusCode.CANCELLED),
        (10, 0.3, StatusCode.CANCELLED),
        (0.3, 0.2999, StatusCode.DEADLINE_EXCEEDED),  # its client's clock ran out a moment before the server's
        (100, 99.01, StatusCode.DEADLINE_EXCEEDED),  # a timeout of 99.01 s arrives as one of 100 s
        (100, 98, StatusCode.CANCELLED),
        (0.3, 0.31, StatusCode.DEADLINE_EXCEEDED),
    ],
)
def test_a_cancelled_call_is_counted_by_its_reason(timeout, after, code):
    class Context:
        def time_remaining(self):
            return None if timeout is None else max(timeout - after, 0)

    assert interceptor._cancelled(Context(), after) is code


def test_each_end_of_a_deadline_is_counted_as_one(ended, handlers):
    def counts():
        return [count("test.Service/sleep", code) for code in ("DEADLINE_EXCEEDED", "CANCELLED")]

    before = counts()
    for i in range(20):
        assert ended("sleep", b"", timeout=0.05 + i / 1000)[0] is StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: sum(counts()) == sum(before) + 20)
    assert counts() == [before[0] + 20, before[1]]


def test_no_work_is_done_for_a_call_whose_deadline_has_passed(ended, channel, handlers):
    before = handlers.began["echo"]
    blocking = threading.Thread(target=channel.unary_unary("/test.Service/block"), args=(b"",))
    blocking.start()
    time.sleep(0.1)
    assert ended("echo", b"", timeout=0.05)[0] is StatusCode.DEADLINE_EXCEEDED
    blocking.join()
    assert channel.unary_unary("/test.Service/echo")(b"") == b""
    assert handlers.began["echo"] == before + 2


def test_a_cancelled_call_stops(channel, handlers):
    before = count("test.Service/sleep", "CANCELLED")
    began = handlers.began["sleep"]
    call = channel.unary_unary("/test.Service/sleep").future(b"")
    wait_until(lambda: handlers.began["sleep"] == began + 1)
    call.cancel()
    wait_until(lambda: handlers.ended["sleep"] == began + 1)
    wait_until(lambda: count("test.Service/sleep", "CANCELLED") == before + 1)


def cancel_stream(channel):
    """Cancel a stream after the first answer, as its next message is sent."""
    going = threading.Event()

    def requests():
        yield b"a"
        going.wait(30)
        yield b"b"

    call = channel.stream_stream("/test.Service/echoes")(requests())
    assert next(call) == b"a"
    call.cancel()
    going.set()


def test_a_cancelled_stream_stops(channel, handlers):
    began, before = handlers.began["echoes"], count("test.Service/echoes", "CANCELLED")
    cancel_stream(channel)
    wait_until(lambda: count("test.Service/echoes", "CANCELLED") == before + 1)
    assert handlers.began["echoes"] == began + 1


@pytest.mark.slow
def test_no_cancelled_stream_is_counted_as_ended(channel):
    def counts():
        return [count("test.Service/echoes", code) for code in ("CANCELLED", "OK")]

    before = counts()
    # If all processors are busy, the end of the messages and the cancellation arrive one after the other.
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(3 * len(os.sched_getaffinity(0)))]
    try:
        for _ in range(300):
            cancel_stream(channel)
        wait_until(lambda: sum(counts()) == sum(before) + 300)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert counts() == [before[0] + 300, before[1]]
