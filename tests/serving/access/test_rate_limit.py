"""A limit allows its number of requests, counted by one process, two with one Redis, or each without Redis."""

import asyncio
import logging
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugpred.errors import ConfigurationError
from drugpred.serving.access import rate_limit as module
from drugpred.serving.access.rate_limit import RateLimiter, client_id
from tests.harness import ROOT
from tests.harness import redis as redis_server

PASSWORD = "marked-9d41"

ASKS = """
import asyncio
import sys
from drugpred.serving.access import rate_limit as module
from drugpred.serving.access.rate_limit import RateLimiter

module._REDIS_SECONDS = 30

async def ask():
    rates = RateLimiter("100/minute", sys.argv[1])
    await rates.hit("ready")
    print("ready", flush=True)
    sys.stdin.readline()
    answers = []
    for _ in range(15):
        answers += await asyncio.gather(*(rates.hit("ip:192.0.2.1") for _ in range(10)))
    await rates.close()
    print(answers.count(None), flush=True)

asyncio.run(ask())
"""


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 6000.0

    monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture(scope="module")
def shared():
    with redis_server.running() as redis:
        yield redis


@pytest.fixture
def redis(shared, monkeypatch):
    monkeypatch.setattr(module, "_REDIS_SECONDS", redis_server.SECONDS)
    shared.ask("FLUSHALL")
    return shared


def hit(rates, caller="a", times=1):
    """Return the answers of one event loop, without any of its own timers."""

    async def ask():
        return [await rates.hit(caller) for _ in range(times)]

    return asyncio.run(ask())


def asked(function):
    """Run a coroutine function with RateLimiter that are closed in the end."""

    async def run():
        made = []

        def make(*arguments):
            made.append(RateLimiter(*arguments))
            return made[-1]

        try:
            await function(make)
        finally:
            for rates in made:
                await rates.close()

    asyncio.run(run())


def unshared():
    return module.RATES_UNSHARED._value.get()


def test_as_many_as_the_limit_are_let_through(clock):
    rates = RateLimiter("3/minute")
    assert rates.enabled
    assert hit(rates, times=5) == [None] * 3 + [61.0] * 2
    clock.now += 59.5
    assert hit(rates) == [1.0]


def test_callers_do_not_share(clock):
    rates = RateLimiter("2/minute")
    assert hit(rates, "a", 3) == [None, None, 61.0]
    assert hit(rates, "b", 3) == [None, None, 61.0]


def test_without_a_limit_all_are_let_through():
    rates = RateLimiter(None, "redis://127.0.0.1:1")
    assert not rates.enabled
    assert hit(rates, times=1000) == [None] * 1000


def test_a_refused_request_is_allowed_at_the_announced_time(clock):
    rates = RateLimiter("10/minute")
    clock.now += 30
    assert hit(rates, times=11) == [None] * 10 + [31.0]
    clock.now += 31.0
    assert hit(rates, times=2) in ([None, 5.0], [None, 6.0])
    for _ in range(100):
        [wait] = hit(rates)
        if wait is not None:
            clock.now += wait - 1.001
            assert hit(rates) != [None]
            clock.now += 1.001
            assert hit(rates) == [None]


def test_the_limit_holds_between_periods(clock):
    rates = RateLimiter("100/minute")
    clock.now += 59.9
    before = hit(rates, times=150).count(None)
    clock.now += 0.2
    assert before + hit(rates, times=150).count(None) <= 101  # one more, as 99.8 of the first are still counted


def test_all_is_forgotten_after_two_periods(clock):
    rates = RateLimiter("100/minute")
    hit(rates, times=100)
    clock.now += 120
    assert hit(rates, times=101).count(None) == 100


@given(
    st.integers(1, 20),
    st.integers(1, 100),
    st.lists(st.floats(0, 30), max_size=200),
)
def test_no_period_lets_through_more_than_the_limit(amount, seconds, waits):
    here = module._InMemory(amount, seconds)
    now, periods = 1234.5, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.time, "monotonic", lambda: now)
        for wait in waits:
            now += wait
            answer = here.hit("a")
            if answer is None:
                periods[now // seconds] = periods.get(now // seconds, 0) + 1
            else:
                assert answer == int(answer)
                assert 1 <= answer <= seconds + 1
                before, now = now, now + answer
                assert here.hit("a") is None
                periods[now // seconds] = periods.get(now // seconds, 0) + 1
                assert now > before
    assert max(periods.values(), default=0) <= amount


def test_memory_is_bounded_and_keeps_frequent_callers(clock, monkeypatch):
    monkeypatch.setattr(module, "_MAX_CALLERS", 100)
    rates = RateLimiter("5/minute")
    threads = threading.active_count()

    async def ask():
        answers = []
        for i in range(2000):
            await rates.hit(f"ip:{i}")
            if i % 50 == 0:
                answers.append(await rates.hit("often"))
        return answers

    assert asyncio.run(ask()) == [None] * 5 + [61.0] * 35
    assert len(rates._here._this) == 100
    clock.now += 60
    hit(rates)
    assert (len(rates._here._last), len(rates._here._this)) == (100, 1)
    clock.now += 120
    hit(rates)
    assert (len(rates._here._last), len(rates._here._this)) == (0, 1)
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    "limit",
    [
        "",
        "100",
        "100/fortnight",
        "0/minute",
        "-1/minute",
        "1.5/minute",
        "10/second;100/minute",
        "1/2 year",
        "9" * 5000 + "/day",
    ],
)
def test_a_malformed_limit_is_reported(limit):
    with pytest.raises(ConfigurationError, match=r"^DRUGPRED_RATE_LIMIT: expected one limit like 100/minute"):
        RateLimiter(limit)


@pytest.mark.parametrize("limit", ["5/minute", "5 per minute", "5/1 minute", "5 per 60 seconds"])
def test_the_notation_is_that_of_limits(limit, clock):
    assert hit(RateLimiter(limit), times=7).count(None) == 5


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        f"http://:{PASSWORD}@127.0.0.1",
        f"redis://:{PASSWORD}@127.0.0.1:port",
        f"redis://127.0.0.1:{PASSWORD}",
        f"redis://:{PASSWORD}@127.0.0.1:99999",
        f"redis://:{PASSWORD}@[::1",
        f"redis://:{PASSWORD}@127.0.0.1?surprise=1",
        f"redis://:{PASSWORD}@127.0.0.1?socket_timeout=soon",
    ],
)
def test_a_malformed_url_is_reported_without_its_password(url):
    with pytest.raises(ConfigurationError, match=r"^DRUGPRED_REDIS_URL: expected redis://") as raised:
        RateLimiter("1/minute", url)
    assert PASSWORD not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.1", "ip:192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "ip:2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "ip:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "ip:fe80::/64"),
        ("::ffff:192.0.2.1", "ip:192.0.2.1"),
        ("::1", "ip:::/64"),
        ("", "ip:"),
        ("unix:", "ip:unix:"),
    ],
)
def test_the_caller_of_an_address(address, caller):
    assert client_id(address) == caller


def test_two_processes_share_one_limit(redis):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ASKS, redis.patient_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    through = []
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "Redis" not in errors
        through.append(int(output))
    assert sum(through) == 100, through


def test_callers_in_redis_do_not_share_and_are_not_named(redis):
    async def ask(make):
        rates = make("2/minute", redis.patient_url)
        for caller in ("ip:192.0.2.1", "key-name"):
            assert [await rates.hit(caller) for _ in range(2)] == [None, None]
            assert 55 < await rates.hit(caller) <= 61
        assert 55 < await make("2/minute", redis.patient_url).hit("key-name") <= 61

    asked(ask)
    kept = redis.ask("KEYS", "*").decode()
    names = [line for line in kept.splitlines() if line.startswith("drugpred:rate:")]
    assert len(names) == 2
    assert "192.0.2.1" not in kept
    assert "key-name" not in kept
    for name in names:
        seconds = int(redis.ask("TTL", name).splitlines()[0].removeprefix(b":"))
        assert 0 < seconds <= 120


def test_redis_lets_through_again_when_it_was_said(redis):
    async def ask(make):
        rates, other = make("5/second", redis.patient_url), make("5/second", redis.patient_url)
        assert [await rates.hit("a") for _ in range(5)] == [None] * 5
        waits = [await rates.hit("a"), await other.hit("a"), await rates.hit("a")]
        assert None not in waits
        await asyncio.sleep(max(waits))
        assert await other.hit("a") is None

    asked(ask)


def test_redis_is_not_asked_again_about_a_refused_caller(redis):
    async def ask(make):
        rates = make("1/minute", redis.patient_url)
        assert await rates.hit("a") is None
        assert await rates.hit("a")
        before = redis.ask("INFO", "commandstats").partition(b"evalsha:calls=")[2].split(b",")[0]
        assert all([await rates.hit("a") for _ in range(50)])
        assert redis.ask("INFO", "commandstats").partition(b"evalsha:calls=")[2].split(b",")[0] == before
        assert await rates.hit("b") is None

    asked(ask)


def test_a_redis_without_scripts_gets_them_again(redis):
    async def ask(make):
        rates = make("2/minute", redis.patient_url)
        await rates.hit("a")
        redis.ask("SCRIPT", "FLUSH")
        before = unshared()
        assert await rates.hit("a") is None
        assert await rates.hit("a") is not None
        assert unshared() == before

    asked(ask)


def test_without_redis_each_counts_for_itself_until_it_is_back(caplog, monkeypatch):
    monkeypatch.setattr(module, "_SETTLED_SECONDS", 0.0)
    with redis_server.running() as redis:

        async def ask(make):
            rates, other = make("3/hour", redis.url), make("3/hour", redis.url)
            assert await rates.hit("a") is None
            assert await other.hit("a") is None
            redis.stop()
            before = unshared()
            assert await asyncio.gather(*(rates.hit("a") for _ in range(3))) == [None] * 3
            assert await rates.hit("a") is not None
            assert [await other.hit("a") for _ in range(3)] == [None] * 3
            assert unshared() == before + 7
            assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
            redis.start()
            assert await rates.hit("b") is None  # not asked yet
            assert b"drugpred" not in redis.ask("KEYS", "*")
            for each in (rates, other):
                each._shared._again_at = 0.0
            assert await asyncio.gather(*(rates.hit("b") for _ in range(2))) == [None] * 2
            assert await other.hit("c") is None
            assert b"drugpred:rate:" in redis.ask("KEYS", "*")
            assert [await rates.hit("d") for _ in range(2)] == [None] * 2
            assert [await other.hit("d") is None for _ in range(2)] == [True, False]

        asked(ask)
    assert [record.getMessage() for record in caplog.records][2:] == ["Redis counts requests again"] * 2
    assert "127.0.0.1" not in caplog.text


def test_redis_that_answers_now_and_then_is_logged_once(caplog, monkeypatch):
    async def ask(make):
        shared = make("100/minute", redis.url)._shared
        answers = shared._limiter.hit

        async def full(*_):
            raise ConnectionError("max number of clients reached")

        for _ in range(5):
            for hit in (full, answers):
                monkeypatch.setattr(shared._limiter, "hit", hit)
                shared._again_at = 0.0
                with suppress(module._UnansweredError):
                    await shared.hit("a")

    with redis_server.running() as redis:
        asked(ask)
    assert len(caplog.records) == 1


def test_while_redis_is_down_one_request_asks_it_and_the_others_continue(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.5)
    with socket.socket() as silent:  # takes connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        async def ask(make):
            rates = make("1000/minute", f"redis://127.0.0.1:{silent.getsockname()[1]}")
            assert await rates.hit("a") is None
            await asyncio.sleep(0.5)
            done = []

            async def hit(number):
                await rates.hit("a")
                done.append(number)

            await asyncio.gather(*(hit(number) for number in range(20)))
            assert done == [*range(1, 20), 0]

        asked(ask)


def test_a_wrong_password_is_not_shown(caplog):
    with redis_server.running("--requirepass", "right") as redis:

        async def ask(make):
            wrong = make("1/minute", redis.url.replace("//", f"//:{PASSWORD}@"))
            assert await wrong.hit("a") is None
            assert await wrong.hit("a") is not None
            assert len(caplog.records) == 1
            right = make("1/minute", redis.url.replace("//", "//:right@"))
            assert await right.hit("a") is None
            assert len(caplog.records) == 1

        asked(ask)
    assert PASSWORD not in caplog.text


def test_a_cancelled_request_leaves_redis_usable(redis):
    async def ask(make):
        rates = make("1000/minute", redis.patient_url)
        before = unshared()
        for i in range(40):
            task = asyncio.create_task(rates.hit("a"))
            for _ in range(i % 8):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        assert await asyncio.gather(*(rates.hit("b") for _ in range(50))) == [None] * 50
        assert unshared() == before

    asked(ask)


@pytest.mark.parametrize(("limit", "url"), [("None", "None"), ("'1/minute'", "None"), ("None", "'redis://x'")])
def test_a_start_without_redis_does_not_import_it(limit, url):
    script = "import sys; import drugpred.monitoring.feedback.dedup"
    script += f"; from drugpred.serving.access.rate_limit import RateLimiter; RateLimiter({limit}, {url})"
    script += "; print('redis' in sys.modules, 'limits' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", str(limit != "None")]
