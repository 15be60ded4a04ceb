"""Answers without holding up the event loop."""

import asyncio
import threading

import pytest

from drugpred.schemas import EXAMPLE, Profile
from drugpred.scoring import Scorer
from drugpred.serving.answering import score

PLAIN, EXPLAINED = (Profile.model_validate(EXAMPLE | {"include": include}) for include in ([], ["explanation"]))


class Recording:
    """Answers how many profiles it was given, and in which thread."""

    def __init__(self):
        self.threads = []

    def score(self, profiles):
        self.threads.append(threading.current_thread())
        return [len(profiles)] * len(profiles)


@pytest.mark.parametrize(
    ("profiles", "answers", "threads"),
    [([], [], 1), ([PLAIN] * 3, [3, 3, 3], 1), ([PLAIN, EXPLAINED, PLAIN], [1, 1, 1], 3)],
)
def test_slow_answers_are_made_one_by_one(profiles, answers, threads):
    recording = Recording()
    assert asyncio.run(score(recording, profiles)) == answers
    assert len(recording.threads) == threads
    assert (threading.main_thread() in recording.threads) == (threads == 1)


def test_the_event_loop_goes_on_during_a_slow_answer():
    going = threading.Event()

    class Waiting:
        def score(self, profiles):
            assert going.wait(30)
            return profiles

    async def ask():
        asking = asyncio.create_task(score(Waiting(), [EXPLAINED]))
        await asyncio.sleep(0.05)
        going.set()
        return await asking

    assert asyncio.run(ask()) == [EXPLAINED]


def test_the_end_of_the_request_ends_the_work():
    begun, going = threading.Event(), threading.Event()
    calls = []

    class Waiting:
        def score(self, profiles):
            calls.append(profiles)
            begun.set()
            assert going.wait(30)
            return profiles

    async def ask():
        asking = asyncio.create_task(score(Waiting(), [EXPLAINED] * 5))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        asking.cancel()
        going.set()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(ask())
    assert len(calls) == 1


def test_they_are_the_scorers(bundle):
    (answer,) = asyncio.run(score(Scorer(bundle), [EXPLAINED]))
    assert answer.risks == Scorer(bundle).score([EXPLAINED])[0].risks
