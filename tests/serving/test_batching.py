"""Batches of what waits, and nothing that waits for a batch."""

import asyncio

import pytest

from drugpred.errors import OverloadedError
from drugpred.serving.batching import AdaptiveBatcher


def gather(requests, call, most=1000, ticks=0):
    """The answers to requests that arrive together, or one tick of the event loop after each other."""
    batcher = AdaptiveBatcher(call, most, 20_000)

    async def one(i, request):
        for _ in range(i * ticks):
            await asyncio.sleep(0)
        return await batcher.submit(request)

    async def all_of_them():
        asked = [asyncio.create_task(one(i, request)) for i, request in enumerate(requests)]
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(asyncio.wait_for(all_of_them(), 30))


class Recording:
    """Doubles items, and notes those of each call."""

    def __init__(self):
        self.calls = []

    def __call__(self, items):
        self.calls.append(list(items))
        return [2 * item for item in items]


def test_simultaneous_requests_are_one_call():
    call = Recording()
    assert gather([[1], [2, 3], [4]], call) == [[2], [4, 6], [8]]
    assert call.calls == [[1, 2, 3, 4]]


def test_later_requests_are_the_next_call():
    call = Recording()
    assert gather([[1], [2]], call, ticks=3) == [[2], [4]]
    assert call.calls == [[1], [2]]


def test_a_lone_request_does_not_wait():
    async def ticks_until_called():
        ticks = 0
        call = Recording()
        batcher = AdaptiveBatcher(call, 1000, 20_000)
        asked = asyncio.create_task(batcher.submit([1]))
        while not asked.done():
            ticks += 1
            await asyncio.sleep(0)
        return ticks

    assert asyncio.run(ticks_until_called()) <= 6


def test_a_call_has_at_most_the_allowed_items():
    call = Recording()
    gather([[1, 2], [3, 4], [5, 6], [7]], call, most=5)
    assert call.calls == [[1, 2, 3, 4], [5, 6, 7]]


def test_a_request_that_alone_has_more_is_called_alone():
    call = Recording()
    assert gather([[1], [2, 3, 4, 5], [6]], call, most=3) == [[2], [4, 6, 8, 10], [12]]
    assert call.calls == [[1], [2, 3, 4, 5], [6]]


def test_an_error_is_of_the_request_that_caused_it():
    def call(batch):
        if 13 in batch:
            raise ArithmeticError
        return batch

    answers = gather([[1], [13], [2]], call)
    assert answers[0] == [1]
    assert isinstance(answers[1], ArithmeticError)
    assert answers[2] == [2]


def test_too_few_answers_are_an_error_of_each():
    def call(batch):
        return batch[1:]

    assert all(isinstance(answer, ValueError) for answer in gather([[1], [2]], call))


def test_after_an_error_the_next_request_is_answered():
    def call(batch):
        if 13 in batch:
            raise ArithmeticError
        return batch

    async def one_after_the_other():
        batcher = AdaptiveBatcher(call, 1000, 20_000)
        with pytest.raises(ArithmeticError):
            await batcher.submit([13])
        return await batcher.submit([1])

    assert asyncio.run(one_after_the_other()) == [1]


def test_a_client_that_is_gone_is_not_called_for():
    call = Recording()

    async def leave():
        batcher = AdaptiveBatcher(call, 1, 20_000)
        first, gone, last = (asyncio.create_task(batcher.submit([i])) for i in range(3))
        while not call.calls:
            await asyncio.sleep(0)
        gone.cancel()  # while it waits for its call
        return await asyncio.gather(first, last)

    assert asyncio.run(leave()) == [[0], [4]]
    assert call.calls == [[0], [2]]


def test_between_two_calls_others_have_their_turn():
    turns = []

    def call(batch):
        turns.append("call")
        return batch

    async def busy():
        batcher = AdaptiveBatcher(call, 1, 20_000)

        async def other():
            while len(turns) < 8:
                turns.append("other")
                await asyncio.sleep(0)

        await asyncio.gather(*(batcher.submit([i]) for i in range(4)), other())

    asyncio.run(busy())
    assert "other" in turns[turns.index("call") : turns.index("call") + 3]


def test_more_than_may_wait_is_refused():
    async def overload():
        batcher = AdaptiveBatcher(Recording(), 10, 3)
        waiting = [asyncio.create_task(batcher.submit([i])) for i in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await batcher.submit([3])
        await asyncio.gather(*waiting)
        return await batcher.submit([1, 2, 3])

    assert asyncio.run(overload()) == [2, 4, 6]


def test_outside_of_an_event_loop_the_driver_answers():
    batcher = AdaptiveBatcher(Recording(), 10, 20)
    submitted = batcher.submit([1, 2])
    job = submitted.send(None)
    assert batcher.answer([job.items, [3]]) == [[2, 4], [6]]
    with pytest.raises(StopIteration) as ended:
        submitted.send([2, 4])
    assert ended.value.value == [2, 4]
