"""Bytes that are held at once."""

import asyncio

import pytest

from drugpred.errors import OverloadedError
from drugpred.serving.grpc.write_budget import WriteBudget


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


def test_callers_wait_in_order():
    async def run():
        budget, order = WriteBudget(10, 60), []

        async def acquire(name, amount):
            await budget.acquire(amount)
            order.append(name)

        await budget.acquire(8)
        waiting = [asyncio.create_task(acquire(name, amount)) for name, amount in (("a", 5), ("b", 2), ("c", 5))]
        await settled()
        assert order == []  # b would fit, but came after a
        budget.release(8)
        await settled()
        assert order == ["a", "b"]
        budget.release(5)
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(run()) == ["a", "b", "c"]


def test_a_caller_that_waits_too_long_is_refused_and_holds_nothing():
    async def run():
        budget = WriteBudget(10, 0.05)
        await budget.acquire(8)
        with pytest.raises(OverloadedError):
            await budget.acquire(5)
        await budget.acquire(2)
        budget.release(10)
        await budget.acquire(10)

    asyncio.run(run())


def test_a_caller_that_leaves_makes_room():
    async def run():
        budget = WriteBudget(10, 60)
        await budget.acquire(8)
        first, second = (asyncio.create_task(budget.acquire(amount)) for amount in (5, 2))
        await settled()
        first.cancel()
        await asyncio.wait_for(second, 10)
        budget.release(10)
        granted = asyncio.create_task(budget.acquire(10))
        await settled()
        blocked = asyncio.create_task(budget.acquire(10))
        await settled()
        budget.release(10)
        blocked.cancel()  # in the moment in which its turn comes
        await settled()
        assert granted.done()
        await asyncio.wait_for(budget.acquire(10), 10)

    asyncio.run(run())
