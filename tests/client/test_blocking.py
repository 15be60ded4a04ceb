"""Coroutines without an event loop."""

import asyncio

import numpy as np
import pytest

from drugpred.client import Client
from drugpred.client.blocking import run
from drugpred.schemas import EXAMPLE


def test_a_coroutine_that_suspends_is_refused():
    with pytest.raises(RuntimeError, match="never suspends"):
        run(asyncio.sleep(0))


def test_a_blocking_client_works_within_an_event_loop_too(service):
    async def main():
        with Client(service.url) as client:
            answers = client.stream([np.array([[1, 0, 6, 5, 6, 0, 0, 0, 0, 0, 0, 0]])] * 3)
            return client.predict(EXAMPLE), len(next(answers))

    assert asyncio.run(main()) == (service.answer(0), 1)
