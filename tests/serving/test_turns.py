"""However many large requests there are, a small one waits for a slice of one of them."""

import asyncio

import pytest

from drugpred.serving.admission import CALLER
from drugpred.serving.keys import Key
from drugpred.serving.turns import LARGE, pause, turn


def test_large_requests_go_one_after_another_in_their_order():
    done = []

    async def large(name):
        async with turn(LARGE + 1):
            for part in range(3):
                done.append((name, part))
                await pause()

    async def all_of_them():
        await asyncio.gather(*map(large, "abc"))

    asyncio.run(all_of_them())
    assert done == [(name, part) for name in "abc" for part in range(3)]


def test_callers_take_turns():
    done = []

    async def large(caller, number):
        CALLER.set(Key(caller, frozenset()))
        async with turn(LARGE + 1):
            await pause()
            done.append((caller, number))

    async def all_of_them():
        many = [large("many", number) for number in range(5)]
        await asyncio.gather(*many, large("few", 0), large("few", 1))

    asyncio.run(all_of_them())
    assert done[:5] == [("many", 0), ("many", 1), ("few", 0), ("many", 2), ("few", 1)]
    assert done[5:] == [("many", 3), ("many", 4)]


def test_a_small_request_waits_for_none_of_them():
    async def beside():
        async with turn(LARGE + 1), asyncio.timeout(1), turn(LARGE):
            return True

    assert asyncio.run(beside())


@pytest.mark.parametrize("end", [ValueError, asyncio.CancelledError])
def test_one_that_ends_badly_lets_the_next_one_go_on(end):
    async def fails():
        async with turn(LARGE + 1):
            await pause()
            raise end

    async def after():
        failing = asyncio.create_task(fails())
        await asyncio.sleep(0)
        waiting = asyncio.create_task(fails())
        await asyncio.sleep(0)
        waiting.cancel()
        async with asyncio.timeout(1), turn(LARGE + 1):
            with pytest.raises(end):
                await failing

    asyncio.run(after())


def test_between_slices_there_is_time_for_what_takes_several_passes():
    passes = []

    async def small():
        for number in range(4):
            passes.append(number)
            await asyncio.sleep(0)

    async def both():
        running = asyncio.create_task(small())
        await pause()
        assert len(passes) == 4
        await running

    asyncio.run(both())
