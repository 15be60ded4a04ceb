"""A small request waits for one slice of a large one, with any number of large requests."""

import asyncio

import pytest

from drugpred.limits import LARGE_REQUEST_BYTES
from drugpred.serving.access.api_keys import Key
from drugpred.serving.access.policy import CALLER
from drugpred.serving.scheduling import exclusive, yield_slice


def test_large_requests_go_one_after_another_in_their_order():
    done = []

    async def large(name):
        async with exclusive(LARGE_REQUEST_BYTES + 1):
            for part in range(3):
                done.append((name, part))
                await yield_slice()

    async def all_of_them():
        await asyncio.gather(*map(large, "abc"))

    asyncio.run(all_of_them())
    assert done == [(name, part) for name in "abc" for part in range(3)]


def test_callers_take_turns():
    done = []

    async def large(caller, number):
        CALLER.set(Key(caller, frozenset()))
        async with exclusive(LARGE_REQUEST_BYTES + 1):
            await yield_slice()
            done.append((caller, number))

    async def all_of_them():
        many = [large("many", number) for number in range(5)]
        await asyncio.gather(*many, large("few", 0), large("few", 1))

    asyncio.run(all_of_them())
    assert [entry for entry in done if entry[0] == "many"] == [("many", number) for number in range(5)]
    assert max(done.index(("few", number)) for number in range(2)) <= 4


def test_a_long_request_lets_other_callers_go_between_its_slices():
    done = []

    async def large(caller, slices):
        CALLER.set(Key(caller, frozenset()))
        async with exclusive(LARGE_REQUEST_BYTES + 1):
            for _ in range(slices):
                await yield_slice()
            done.append(caller)

    async def all_of_them():
        await asyncio.gather(large("long", 10), large("long", 10), large("short", 1))

    asyncio.run(all_of_them())
    assert done == ["short", "long", "long"]


def test_one_that_is_cancelled_while_another_caller_has_its_turn_takes_nothing():
    async def large(caller, begun, end):
        CALLER.set(Key(caller, frozenset()))
        async with exclusive(LARGE_REQUEST_BYTES + 1):
            begun.set()
            while not end.is_set():
                await yield_slice()
            await asyncio.sleep(0.01)

    async def check():
        first, second, third = asyncio.Event(), asyncio.Event(), asyncio.Event()
        never, end = asyncio.Event(), asyncio.Event()
        waiting = asyncio.create_task(large("one", first, never))
        await first.wait()
        other = asyncio.create_task(large("two", second, end))
        await second.wait()
        waiting.cancel()
        end.set()
        await other
        async with asyncio.timeout(1):
            await large("three", third, end)

    asyncio.run(check())


def test_a_small_request_waits_for_none_of_them():
    async def small():
        async with exclusive(LARGE_REQUEST_BYTES + 1), asyncio.timeout(1), exclusive(LARGE_REQUEST_BYTES):
            return True

    assert asyncio.run(small())


@pytest.mark.parametrize("end", [ValueError, asyncio.CancelledError])
def test_a_failed_request_lets_the_next_one_continue(end):
    async def fails():
        async with exclusive(LARGE_REQUEST_BYTES + 1):
            await yield_slice()
            raise end

    async def after():
        failing = asyncio.create_task(fails())
        await asyncio.sleep(0)
        waiting = asyncio.create_task(fails())
        await asyncio.sleep(0)
        waiting.cancel()
        async with asyncio.timeout(1), exclusive(LARGE_REQUEST_BYTES + 1):
            with pytest.raises(end):
                await failing

    asyncio.run(after())


def test_between_slices_there_is_time_for_several_passes():
    passes = []

    async def small():
        for number in range(4):
            passes.append(number)
            await asyncio.sleep(0)

    async def both():
        running = asyncio.create_task(small())
        await yield_slice()
        assert len(passes) == 4
        await running

    asyncio.run(both())
