"""Answers without holding up the event loop."""

import asyncio
import threading

import pytest
from starlette.requests import ClientDisconnect

from drugpred.errors import OverloadedError
from drugpred.limits import MAX_EXPLAINING, MAX_EXPLAINING_EACH
from drugpred.schemas import EXAMPLE, Profile
from drugpred.scoring import Scorer
from drugpred.serving.access.api_keys import Key
from drugpred.serving.access.policy import CALLER
from drugpred.serving.predictions import PredictionService, unless_disconnected

PLAIN, EXPLAINED = (Profile.model_validate(EXAMPLE | {"include": include}) for include in ([], ["explanation"]))


class Fake:
    """A scorer of no model."""

    model = None
    predict_arrays = None


def explain(scorer, profiles, client=None):
    return PredictionService(scorer).explain(profiles, client)


class Recording(Fake):
    """Answers how many profiles it was given, and in which thread."""

    def __init__(self):
        self.threads = []

    def predict(self, profiles):
        self.threads.append(threading.current_thread())
        return [len(profiles)] * len(profiles)


@pytest.mark.parametrize(
    ("profiles", "answers", "threads"),
    [([EXPLAINED], [1], 1), ([PLAIN, EXPLAINED, PLAIN], [1, 1, 1], 3)],
)
def test_slow_answers_are_made_one_by_one(profiles, answers, threads):
    recording = Recording()
    assert asyncio.run(explain(recording, profiles)) == answers
    assert len(recording.threads) == threads
    assert threading.main_thread() not in recording.threads


def test_the_event_loop_continues_during_a_slow_answer():
    going = threading.Event()

    class Waiting(Fake):
        def predict(self, profiles):
            assert going.wait(30)
            return profiles

    async def ask():
        asking = asyncio.create_task(explain(Waiting(), [EXPLAINED]))
        await asyncio.sleep(0.05)
        going.set()
        return await asking

    assert asyncio.run(ask()) == [EXPLAINED]


def test_the_end_of_the_request_ends_the_work():
    begun, going = threading.Event(), threading.Event()
    calls = []

    class Waiting(Fake):
        def predict(self, profiles):
            calls.append(profiles)
            begun.set()
            assert going.wait(30)
            return profiles

    async def ask():
        asking = asyncio.create_task(explain(Waiting(), [EXPLAINED] * 5))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        asking.cancel()
        going.set()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(ask())
    assert len(calls) == 1


def test_they_are_the_scorers(stored_model):
    (answer,) = asyncio.run(explain(Scorer(stored_model), [EXPLAINED]))
    assert answer.risks == Scorer(stored_model).predict([EXPLAINED])[0].risks


class Held(Fake):
    """Answers when it is released."""

    def __init__(self):
        self.going = threading.Event()

    def predict(self, profiles):
        assert self.going.wait(30)
        return profiles


def asked(callers):
    """Return the number of refused simultaneous requests with an explanation, by caller."""
    held = Held()
    predictions = PredictionService(held)

    async def one(caller, key):
        CALLER.set(key)
        return await predictions.explain([EXPLAINED], caller)

    async def all_of_them():
        tasks = [asyncio.create_task(one(*caller)) for caller in callers]
        await asyncio.sleep(0)
        held.going.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(all_of_them())
    return [isinstance(each, OverloadedError) for each in found]


@pytest.mark.parametrize("key", [None, Key("alice", frozenset())])
def test_one_caller_has_a_quarter_of_the_slow_work(key):
    other = ("192.0.2.2", None)
    refused = asked([("192.0.2.1", key)] * MAX_EXPLAINING + [other] * 3)
    assert refused == [False] * MAX_EXPLAINING_EACH + [True] * (MAX_EXPLAINING - MAX_EXPLAINING_EACH) + [False] * 3


def test_all_callers_together_have_all_of_it():
    refused = asked([(f"192.0.2.{i}", None) for i in range(MAX_EXPLAINING + 2)])
    assert refused == [False] * MAX_EXPLAINING + [True] * 2
    assert asked([(None, None)] * (MAX_EXPLAINING + 1)) == [False] * MAX_EXPLAINING + [True]


def test_work_ends_where_its_client_leaves():
    begun, ended = asyncio.Event(), []

    async def work():
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(True)

    async def leaving():
        await begun.wait()
        return {"type": "http.disconnect"}

    async def ask():
        with pytest.raises(ClientDisconnect):
            await unless_disconnected(work(), leaving)
        await asyncio.sleep(0)

    asyncio.run(ask())
    assert ended == [True]


def test_work_is_answered_where_its_client_stays():
    async def work():
        await asyncio.sleep(0.01)
        return 7

    async def staying():
        await asyncio.sleep(30)

    assert asyncio.run(unless_disconnected(work(), staying)) == 7

    async def failing():
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        asyncio.run(unless_disconnected(failing(), staying))
