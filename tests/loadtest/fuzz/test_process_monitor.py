"""Workers and answers before and after."""

import os
import time

import httpx
import psutil
import pytest

from loadtest.fuzz import process_monitor


def test_workers_that_ended_or_grew():
    def holds(rss=100.0, handles=30):
        return process_monitor.Usage(rss, handles, 10)

    def faults(start, middle, end, inputs=50_000):
        return process_monitor.faults({1: start}, {1: middle}, {1: end}, inputs)

    assert faults(holds(), holds(150), holds(160, 40)) == []
    assert "MB of memory" in faults(holds(), holds(), holds(140))[0]
    assert "open files" in faults(holds(), holds(), holds(handles=60))[0]
    assert faults(holds(), holds(), holds(140), inputs=20_000) == []
    assert "open files" in faults(holds(), holds(), holds(handles=60), inputs=5000)[0]
    assert faults(holds(), holds(), holds(handles=60), inputs=100) == []
    assert "ended" in process_monitor.faults({1: holds()}, {1: holds()}, {2: holds()}, 1)[0]


def test_memory_that_comes_and_goes_is_not_judged(monkeypatch):
    monkeypatch.setattr(process_monitor, "_INTERVAL", 0.01)
    me, block = os.getpid(), bytearray(200_000_000)
    for at in range(0, len(block), 4096):
        block[at] = 1
    high = process_monitor.Usage(psutil.Process().memory_info().rss / 1e6, 30, 10)
    with process_monitor.LowestMemory([me, 2**22 + 1]) as lowest:  # the other one has ended
        time.sleep(0.1)
        assert lowest.of({me: high})[me].rss > high.rss - 50
        del block
        time.sleep(0.3)
        found = lowest.of({me: high})[me]
    assert found.rss < high.rss - 150
    assert found[1:] == high[1:]
    assert lowest.of({me: high}) == {me: high}


def test_the_same_answer_but_for_its_last_digits():
    def answer(probability, model="drug_consumption:1"):
        return {"model": model, "risks": [{"drug": "lsd", "probability": probability}]}

    assert process_monitor.same_answer(answer(0.25), answer(0.25 + 1e-16))
    assert not process_monitor.same_answer(answer(0.25), answer(0.2501))
    assert not process_monitor.same_answer(answer(0.25), answer(0.25, "drug_consumption:2"))


def test_the_answer_is_asked_for_again_where_the_limit_was_reached(monkeypatch):
    asked, slept = [], []

    def answer(request):
        asked.append(request.url.path)
        if len(asked) == 2:
            return httpx.Response(429, headers={"retry-after": "3"})
        return httpx.Response(200, json={"risks": []})

    client = httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer))
    monkeypatch.setattr(process_monitor.time, "sleep", slept.append)
    assert process_monitor.predict(client) == {"risks": []}
    assert slept == [3]
    assert asked == ["/readyz", "/predict", "/predict"]


def test_a_port_on_which_no_service_listens():
    with pytest.raises(LookupError, match="expected a `bentoml serve`"):
        process_monitor.usage(1)
