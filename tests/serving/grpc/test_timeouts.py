"""How the request of a call arrives, at a real server."""

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest

from drugpred.errors import OverloadedError
from drugpred.serving.access.api_keys import Key
from drugpred.serving.access.policy import CALLER, AccessPolicy
from drugpred.serving.grpc import interceptor, timeouts
from drugpred.serving.grpc.interceptor import CallInterceptor
from drugpred.serving.grpc.timeouts import CallSlots
from drugpred.settings import Settings

unsent = []
"""What a client will send: grpc.aio reports an error of its own if a call ends before that."""


async def all_sent():
    while unsent:
        await asyncio.sleep(0.01)


async def double(request, context):
    await all_sent()
    return request * 2


async def twice(request, context):
    await all_sent()
    for _ in range(2):
        await context.write(request)


async def many(requests, context):
    async for request in requests:
        yield request * 2


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(double, bytes.upper, None),
    "Stream": grpc.unary_stream_rpc_method_handler(twice, bytes.upper, None),
    "Many": grpc.stream_stream_rpc_method_handler(many, bytes.upper, None),
}


def served(call, connections=1):
    """Return the result of `call` with channels to a server of these methods, each with a connection of its own."""

    async def run():
        server = grpc.aio.server(interceptors=[CallInterceptor(AccessPolicy.from_settings(Settings()))])
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", HANDLERS),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with AsyncExitStack() as stack:
                channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) for _ in range(connections)]
                return await call(*[await stack.enter_async_context(channel) for channel in channels])
        finally:
            await server.stop(None)

    return asyncio.run(run())


def called(name, requests):
    """Return the answer of a method that reports its requests."""

    async def call(channel):
        return [answer async for answer in channel.stream_stream(f"/test/{name}")(requests(), timeout=20)]

    return served(call)


async def one():
    yield b"ab"


async def several():
    unsent[:] = [b"ab"] * 3
    while unsent:
        yield unsent[-1]
        unsent.pop()


async def none():
    return
    yield


async def silence():
    await asyncio.sleep(10)
    yield b"ab"


@pytest.mark.parametrize("requests", [one, several])
@pytest.mark.parametrize(("name", "answers"), [("Unary", [b"ABAB"]), ("Stream", [b"AB", b"AB"])])
def test_the_first_request_is_answered(name, requests, answers):
    assert called(name, requests) == answers


@pytest.mark.parametrize("name", ["Unary", "Stream"])
@pytest.mark.parametrize(
    ("requests", "code"), [(none, grpc.StatusCode.UNIMPLEMENTED), (silence, grpc.StatusCode.DEADLINE_EXCEEDED)]
)
def test_a_call_without_a_request_ends(name, requests, code, monkeypatch):
    monkeypatch.setattr(timeouts, "REQUEST_TIMEOUT", 0.2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        called(name, requests)
    assert caught.value.code() == code
    assert caught.value.details().startswith("expected ")


async def one_and_silence():
    yield b"ab"
    await asyncio.sleep(10)


def test_a_stream_that_falls_silent_is_ended(monkeypatch):
    assert called("Many", several) == [b"ABAB"] * 3
    monkeypatch.setattr(interceptor, "STREAM_IDLE_TIMEOUT", 0.3)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        called("Many", one_and_silence)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("name", ["Unary", "Stream", "Many"])
def test_of_too_many_calls_without_a_message_the_oldest_make_room(name, monkeypatch):
    monkeypatch.setattr(interceptor, "MAX_CALLS", 3)

    async def call(channel):
        method = channel.stream_stream(f"/test/{name}")
        silent = []
        for _ in range(6):
            silent.append(method(timeout=20))
            await silent[-1].wait_for_connection()
        assert await method(one()).read() == (b"AB" if name == "Stream" else b"ABAB")
        ended = [await each.code() for each in silent[:4]]
        for each in silent[4:]:
            await each.write(b"ab")
            assert await each.read()
        return ended

    assert served(call) == [grpc.StatusCode.UNAVAILABLE] * 4


def test_calls_without_a_message_make_no_room_on_other_connections(monkeypatch):
    monkeypatch.setattr(interceptor, "MAX_CALLS", 3)

    async def call(channel, other):
        first = channel.stream_stream("/test/Unary")(timeout=20)
        await first.wait_for_connection()
        silent = [other.stream_stream("/test/Unary")(timeout=20) for _ in range(6)]
        async with asyncio.timeout(10):
            while sum(each.done() for each in silent) < 4:
                await asyncio.sleep(0.01)
        await first.write(b"ab")
        assert await first.read() == b"ABAB"
        return [await each.code() for each in silent if each.done()]

    assert served(call, connections=2) == [grpc.StatusCode.UNAVAILABLE] * 4


def test_a_caller_makes_room_among_its_own_calls():
    async def check():
        places = CallSlots(4, 2)
        ended = []

        async def call(caller, number):
            CALLER.set(Key(caller, frozenset()))
            try:
                await places.acquire(Silent(caller))
            except OverloadedError:
                ended.append((caller, number))

        class Silent:
            def __init__(self, peer):
                self.peer = lambda: peer

            async def read(self):
                await asyncio.sleep(10)

        async with asyncio.TaskGroup() as group:
            calls = []
            for caller, number in [("few", 0), *(("many", number) for number in range(4)), ("others", 0)]:
                calls.append(group.create_task(call(caller, number)))
                await asyncio.sleep(0.01)
            assert ended == [("many", 0), ("many", 1)]
            calls.append(group.create_task(call("others", 1)))  # for which there is no place any more
            await asyncio.sleep(0.01)
            assert ended == [("many", 0), ("many", 1), ("few", 0)]
            for each in calls:
                each.cancel()
        for caller in ("few", "many", "others"):
            assert not places._places.is_share_full(caller)

    asyncio.run(check())


def test_a_stream_that_has_begun_makes_no_room(monkeypatch):
    monkeypatch.setattr(interceptor, "MAX_CALLS", 2)

    async def call(channel):
        method = channel.stream_stream("/test/Many")
        begun = method(timeout=20)
        await begun.write(b"ab")
        assert await begun.read() == b"ABAB"
        silent = [method(timeout=20) for _ in range(3)]
        assert await asyncio.wait_for(silent[0].code(), 10) is grpc.StatusCode.UNAVAILABLE
        await begun.write(b"cd")
        return await begun.read()

    assert served(call) == b"CDCD"
