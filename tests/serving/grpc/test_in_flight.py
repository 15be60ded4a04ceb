"""What a server that ends has to know of its calls."""

import asyncio

from drugpred.serving.grpc.in_flight import InFlightCalls


class Context:
    """What grpc gives a handler, of which a gate wants to hear when the answer is sent."""

    def add_done_callback(self, callback):
        self.done = lambda: callback(self)


def test_a_call_goes_through_an_open_gate():
    async def ask():
        gate = InFlightCalls()
        context = Context()
        await gate.enter(context)
        context.done()
        await gate.wait_until_empty(10)
        return gate.entered

    assert asyncio.run(ask()) == 1


def test_a_closed_gate_holds_calls_back_until_it_opens():
    async def ask():
        gate = InFlightCalls()
        gate.close()
        calls = [asyncio.create_task(gate.enter(Context())) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert (gate.entered, [call.done() for call in calls]) == (3, [False] * 3)
        gate.open()
        await asyncio.gather(*calls)

    asyncio.run(ask())


def test_waiting_ends_with_the_last_answer_or_with_patience():
    async def ask():
        gate = InFlightCalls()
        contexts = [Context(), Context()]
        for context in contexts:
            await gate.enter(context)
        contexts[0].done()
        await gate.wait_until_empty(0.05)
        waiting = asyncio.create_task(gate.wait_until_empty(10))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        contexts[1].done()
        await waiting

    asyncio.run(ask())
