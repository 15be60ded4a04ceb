"""A unary thread next to grpc.aio, with a server whose methods do what each test requires."""

import asyncio
import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import grpc
import pytest

from drugpred.errors import OverloadedError, RequestTimeoutError
from drugpred.serving.batching import AdaptiveBatcher
from drugpred.serving.patches import grpc_unary as lanes
from drugpred.serving.patches.grpc_unary import MethodRegistry, attach
from tests.harness import wait

SERVICE = "test.Service"


def served(behaviour):
    """Return a handler for the thread, which answers with a behaviour."""

    async def answer(_, context):
        try:
            message = await context.read()
        except (RequestTimeoutError, OverloadedError) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, type(error).__name__)
        if message is grpc.aio.EOF:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no message")
        await context.write(await behaviour(message, context))

    return grpc.stream_stream_rpc_method_handler(answer)


class Methods:
    """Handlers of bytes, and a record of their calls."""

    def __init__(self):
        self.threads = []
        self.batcher = AdaptiveBatcher(lambda items: [item.upper() for item in items], 10, 100)
        self.held = asyncio.Event()
        self.ended = threading.Event()
        self.done = 0

    def end(self, _):
        self.done += 1
        self.ended.set()

    async def Echo(self, request, context):
        context.add_done_callback(self.end)
        self.threads.append(threading.current_thread().name)
        return request

    async def Slow(self, request, context):
        await asyncio.sleep(0)
        self.threads.append(threading.current_thread().name)
        try:
            await self.held.wait()
        finally:
            self.ended.set()
        return request

    async def Remaining(self, request, context):
        remaining = context.time_remaining()
        return b"none" if remaining is None else str(remaining).encode()

    async def Metadata(self, request, context):
        return str(dict(context.invocation_metadata())["key"]).encode() + context.peer().encode()

    async def Refuse(self, request, context):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "expected: ä", (("why-bin", b"\0\1"),))

    async def RefuseLater(self, request, context):
        await asyncio.sleep(0)
        await context.abort(grpc.StatusCode.NOT_FOUND, "later")

    async def Batched(self, request, context):
        (answer,) = await self.batcher.submit([request])
        return answer

    async def Fail(self, request, context):
        raise ValueError(request.decode())

    async def Waits(self, request, context):
        await self.held.wait()


class Shout(grpc.aio.ServerInterceptor):
    """Makes answers loud."""

    async def intercept_service(self, continuation, details):
        handler = await continuation(details)

        async def loud(requests, context):
            await handler.stream_stream(requests, context)
            await context.write(context.answer.upper() + details.method.encode())

        return grpc.stream_stream_rpc_method_handler(loud)


class Later(grpc.aio.ServerInterceptor):
    """Waits before a handler reads its message."""

    async def intercept_service(self, continuation, details):
        await asyncio.sleep(0)
        return await continuation(details)


@pytest.fixture
def methods():
    return Methods()


@pytest.fixture
def serve(run, methods):
    @contextmanager
    def serve(interceptors=(), beside=True):
        async def start():
            server = grpc.aio.server(interceptors=interceptors)
            handlers = MethodRegistry(server)
            names = [name for name in vars(Methods) if name[0].isupper()]
            made = {name: served(getattr(methods, name)) for name in names}
            handlers.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, made)])
            handlers.add_registered_method_handlers(SERVICE, made)
            unary = dict(handlers.by_name)
            handlers.add_registered_method_handlers(SERVICE, {"Other": made["Echo"]})  # as real servers have one
            handlers.register_all_but(unary)
            lane = attach(server, unary, interceptors, methods.batcher) if beside else None
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            if lane:
                lane.start()
            return server, lane, port

        async def stop():
            if lane:
                lane.stop()
            await server.stop(0.5)
            if lane:
                await asyncio.to_thread(lane.close)

        server, lane, port = run(start())
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:

                def call(name, request=b"", **options):
                    ask = channel.unary_unary(f"/{SERVICE}/{name}")
                    return ask.with_call(request, **{"timeout": 10} | options)

                call.port, call.channel = port, channel
                yield call
        finally:
            run(stop())
        assert "grpc unary" not in [thread.name for thread in threading.enumerate()]

    return serve


@pytest.fixture
def call(serve):
    with serve() as call:
        yield call


def test_it_answers_in_its_own_thread(call, methods):
    assert call("Echo", b"hello")[0] == b"hello"
    assert methods.threads == ["grpc unary"]
    assert methods.ended.wait(10)


def test_it_answers_many_clients(call):
    with ThreadPoolExecutor(16) as pool:
        asked = [str(i).encode() * 1000 for i in range(500)]
        assert [answer for answer, _ in pool.map(lambda request: call("Echo", request), asked)] == asked


def test_a_suspended_handler_continues_in_the_event_loop(call, methods, loop):
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(call, "Slow", b"at last")
        assert call("Echo", b"meanwhile")[0] == b"meanwhile"
        loop.call_soon_threadsafe(methods.held.set)
        assert slow.result()[0] == b"at last"
    assert set(methods.threads) == {"grpc unary", loop_thread(loop)}


def loop_thread(loop):
    async def name():
        return threading.current_thread().name

    return asyncio.run_coroutine_threadsafe(name(), loop).result()


def test_handlers_learn_of_the_call(call):
    assert 5 < float(call("Remaining", timeout=10)[0]) < 11  # a deadline is sent rounded
    assert call("Remaining", timeout=None)[0] == b"none"
    assert call("Metadata", metadata=(("key", "value"),))[0].startswith(b"valueipv4:127.0.0.1:")


def test_a_refusal_is_returned(call):
    with pytest.raises(grpc.RpcError) as refused:
        call("Refuse")
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "expected: ä"
    assert dict(refused.value.trailing_metadata())["why-bin"] == b"\0\1"


def test_a_refusal_may_come_later(call):
    with pytest.raises(grpc.RpcError) as refused:
        call("RefuseLater")
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.NOT_FOUND, "later")


def test_a_fault_is_returned_and_logged_without_its_message(call, caplog):
    with caplog.at_level(logging.ERROR), pytest.raises(grpc.RpcError) as failed:
        call("Fail", b"secret", metadata=(("x-request-id", "of-the-caller"),))
    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    assert dict(failed.value.trailing_metadata())["x-request-id"] == caplog.records[-1].request == "of-the-caller"
    assert "ValueError in /test.Service/Fail" in caplog.text
    assert "secret" not in caplog.text + failed.value.details()
    assert call("Echo", b"still there")[0] == b"still there"


def test_a_handler_that_awaits_the_loop_from_the_thread_fails_alone(call):
    with pytest.raises(grpc.RpcError) as failed:
        call("Waits")
    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    assert call("Echo", b"still there")[0] == b"still there"


def test_a_passed_deadline_ends_a_call(call, methods):
    with pytest.raises(grpc.RpcError) as late:
        call("Slow", timeout=0.2)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert methods.ended.wait(10)
    assert call("Echo", b"still there")[0] == b"still there"


def silence():
    threading.Event().wait(60)
    yield b""


@pytest.mark.parametrize("name", ["Echo", "Waits"])
def test_a_call_without_a_message_ends(serve, monkeypatch, name):
    monkeypatch.setattr(lanes, "REQUEST_TIMEOUT", 0.2)
    with serve() as call:
        silent = call.channel.stream_stream(f"/{SERVICE}/{name}")(silence(), timeout=20)
        assert (silent.code(), silent.details()) == (grpc.StatusCode.UNAVAILABLE, "RequestTimeoutError")
        assert call("Echo", b"still there")[0] == b"still there"


def test_of_too_many_calls_without_a_message_the_oldest_make_room(serve, monkeypatch):
    monkeypatch.setattr(lanes, "MAX_ARRIVING_CALLS", 3)
    with serve() as call:
        silent = [call.channel.stream_stream(f"/{SERVICE}/Echo")(silence(), timeout=30) for _ in range(8)]
        ended = 0
        deadline = time.monotonic() + 20
        while ended < 5 and time.monotonic() < deadline:
            ended = sum(each.done() for each in silent)
            time.sleep(0.01)
        assert call("Echo", b"hello")[0] == b"hello"
        assert {each.details() for each in silent if each.done()} == {"OverloadedError"}
        for each in silent:
            each.cancel()


def test_calls_without_a_message_make_no_room_on_other_connections(serve, monkeypatch):
    monkeypatch.setattr(lanes, "MAX_ARRIVING_CALLS", 3)
    comes = threading.Event()

    def late():
        comes.wait(20)
        yield b"hello"

    options = [("grpc.use_local_subchannel_pool", 1)]
    with serve() as call, grpc.insecure_channel(f"127.0.0.1:{call.port}", options) as others:
        first = call.channel.stream_stream(f"/{SERVICE}/Echo")(late(), timeout=30)
        assert call("Echo", b"behind it")[0] == b"behind it"
        silent = [others.stream_stream(f"/{SERVICE}/Echo")(silence(), timeout=30) for _ in range(8)]
        wait(lambda: sum(each.done() for each in silent) == 6, "the calls of the other connection")
        comes.set()
        assert list(first) == [b"hello"]
        for each in silent:
            each.cancel()


def test_a_call_that_left_the_lane_before_its_message_came_gets_it(serve):
    with serve([Later()]) as call:
        assert call("Echo", b"hello")[0] == b"hello"
        silent = call.channel.stream_stream(f"/{SERVICE}/Echo")(silence(), timeout=0.5)
        assert silent.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(("most", "seconds", "ended"), [(4, 30, 5), (1000, 0.2, 9)], ids=["room", "time"])
def test_an_answer_that_nobody_takes_is_ended(serve, monkeypatch, methods, most, seconds, ended):
    monkeypatch.setattr(lanes, "MAX_LEAVING_CALLS", most)
    monkeypatch.setattr(lanes, "WRITE_TIMEOUT", seconds)
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024), ("grpc.use_local_subchannel_pool", 1)]
    with serve() as call, grpc.insecure_channel(f"127.0.0.1:{call.port}", options) as other:
        asks = [other.stream_stream(f"/{SERVICE}/Echo")(iter([bytes(200_000)]), timeout=30) for _ in range(9)]
        deadline = time.monotonic() + 20
        while methods.done < ended and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert methods.done == ended
        assert call("Echo", b"hello")[0] == b"hello"
        assert len(asks) == 9


def test_a_call_leaves_no_cycle_behind(call):
    call("Echo", b"first")
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(each, lanes._Context) for each in gc.get_objects())
        for _ in range(20):
            call("Echo", b"hello")
        with suppress(grpc.RpcError):
            call("Refuse")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if sum(isinstance(each, lanes._Context) for each in gc.get_objects()) <= before + 1:
                return
            time.sleep(0.05)
        pytest.fail("calls wait for the collector")
    finally:
        gc.enable()


def test_interceptors_are_asked(serve):
    with serve([Shout(), Shout()]) as call:
        assert call("Echo", b"hello")[0] == b"HELLO/TEST.SERVICE/ECHO/test.Service/Echo"


def test_without_a_lane_the_server_answers(serve, methods):
    with serve(beside=False) as call:
        assert call("Echo", b"hello")[0] == b"hello"
    assert methods.threads != ["grpc unary"]


def test_there_is_no_lane_where_grpcio_hides_its_server_elsewhere():
    assert attach(object(), {}, [], None) is None


def test_a_call_that_outlasts_the_server_is_ended(serve, methods):
    with ThreadPoolExecutor() as pool:
        with serve() as call:
            slow = pool.submit(call, "Slow", b"")
            assert call("Echo", b"there")[0] == b"there"
        with pytest.raises(grpc.RpcError):
            slow.result()
    assert methods.ended.wait(10)


def test_calls_that_are_at_hand_are_one_batch(serve, methods):
    sizes = []

    def answer(items):
        sizes.append(len(items))
        time.sleep(0.05)  # meanwhile others come
        return [item.upper() for item in items]

    methods.batcher._call = answer
    with serve() as call, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda text: call("Batched", text)[0], [b"a", b"b", b"c", b"d"] * 8)) == [
            *(b"A", b"B", b"C", b"D") * 8
        ]
    assert sum(sizes) == 32
    assert max(sizes) > 1


def test_an_error_of_a_batch_is_of_the_call_that_caused_it(serve, methods):
    methods.batcher._call = lambda items: [bytes([item[0]]) for item in items]
    with serve() as call:
        assert call("Batched", b"a")[0] == b"a"
        with pytest.raises(grpc.RpcError) as refused:
            call("Batched", b"")
        assert refused.value.code() is grpc.StatusCode.UNKNOWN
        assert call("Batched", b"a")[0] == b"a"
