"""Each token counts once, also for concurrent callers, and errors of the disk are reported."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from drugpred.errors import ConfigurationError, StoreUnavailableError
from drugpred.monitoring.feedback import dedup as module
from drugpred.monitoring.feedback.dedup import RedisTokenStore, SqliteTokenStore
from tests.harness import redis as redis_server

LATER = int(time.time()) + 86400  # and not sooner: tests run long after they are collected

RACE = """
import sys
import time
from pathlib import Path
from drugpred.monitoring.feedback.dedup import SqliteTokenStore

print("ready", flush=True)
start = float(sys.stdin.readline())
for folder in range(20):
    while time.time() < start + folder / 20:
        pass
    seen = SqliteTokenStore(Path(sys.argv[1]) / str(folder))
    print(*(int(seen.add_if_new(i.to_bytes(8, "big"), int(sys.argv[2]))) for i in range(50)), flush=True)
"""


@pytest.fixture
def seen(tmp_path):
    with_file = SqliteTokenStore(tmp_path / "made" / "here")
    yield with_file
    with_file.close()


def test_the_first_time_is_reported_once(seen):
    assert [seen.add_if_new(nonce, LATER) for nonce in (b"one", b"two", b"one", b"two", b"three")] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_it_is_remembered_beyond_a_process(seen, tmp_path):
    assert seen.add_if_new(b"one", LATER)
    script = "import sys, pathlib; from drugpred.monitoring.feedback.dedup import SqliteTokenStore as S; "
    script += "print([S(pathlib.Path(sys.argv[1])).add_if_new(nonce, int(sys.argv[2])) for nonce in (b'one', b'two')])"
    again = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "made" / "here", str(LATER)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout == "[False, True]\n"
    assert not seen.add_if_new(b"two", LATER)


def test_of_processes_that_race_one_is_first(tmp_path):
    """They begin at the same time, twenty times, each with a file that is not there yet."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, tmp_path, str(LATER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    start = time.time() + 0.1
    for racer in racers:
        racer.stdin.write(f"{start}\n")
        racer.stdin.flush()
    told = []
    for racer in racers:
        output, errors = racer.communicate(timeout=60)
        assert racer.returncode == 0, errors
        told.append([int(word) for word in output.split()])
    assert [sum(both) for both in zip(*told, strict=True)] == [1] * 20 * 50


def test_workers_do_not_wait_for_each_other_for_long(seen, tmp_path):
    seen.add_if_new(b"one", LATER)
    with sqlite3.connect(tmp_path / "made" / "here" / "feedback.sqlite", isolation_level=None) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM seen").fetchone() == (1,)
        assert seen.add_if_new(b"two", LATER)
    other.close()


def test_a_file_that_is_held_fails_until_it_is_free(seen, tmp_path):
    seen.add_if_new(b"one", LATER)
    other = sqlite3.connect(tmp_path / "made" / "here" / "feedback.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError):
        seen.add_if_new(b"two", LATER)
    other.execute("ROLLBACK")
    other.close()
    assert seen.add_if_new(b"two", LATER)
    assert not seen.add_if_new(b"two", LATER)


def test_expired_tokens_are_deleted(seen, tmp_path, monkeypatch):
    for nonce in (b"one", b"two"):
        seen.add_if_new(nonce, LATER)
    seen.add_if_new(b"three", LATER + 5000)
    monkeypatch.setattr(module.time, "time", lambda: LATER + 4000)
    monkeypatch.setattr(module.time, "monotonic", lambda: time.monotonic_ns() / 1e9 + 4000)
    assert seen.add_if_new(b"four", LATER + 5000)
    assert not seen.add_if_new(b"three", LATER + 5000)
    with sqlite3.connect(tmp_path / "made" / "here" / "feedback.sqlite") as other:
        kept = other.execute("SELECT nonce FROM seen ORDER BY nonce").fetchall()
    other.close()
    assert kept == [(b"four",), (b"three",)]


def test_a_full_file_fails_and_takes_again_when_something_expired(tmp_path, monkeypatch):
    seen = SqliteTokenStore(tmp_path, most_bytes=32 * 1024)
    with pytest.raises(StoreUnavailableError):
        assert all(seen.add_if_new(os.urandom(8), LATER) for _ in range(10_000))
    with sqlite3.connect(tmp_path / "feedback.sqlite") as other:
        assert other.execute("SELECT count(*) FROM seen").fetchone()[0] > 300
    other.close()
    seen.close()
    assert sum(file.stat().st_size for file in tmp_path.glob("feedback.sqlite")) <= 32 * 1024
    monkeypatch.setattr(module.time, "time", lambda: LATER + 4000)
    # More than the last page has room for, which a full file may still have.
    assert all(seen.add_if_new(os.urandom(8), LATER + 5000) for _ in range(300))
    seen.close()


def test_a_folder_that_cannot_be_made_fails_until_it_can_and_each_is_logged_once(tmp_path, caplog):
    (tmp_path / "folder").write_text("a file")
    seen = SqliteTokenStore(tmp_path / "folder")
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            seen.add_if_new(b"one", LATER)
    (tmp_path / "folder").unlink()
    assert seen.add_if_new(b"one", LATER)
    assert seen.add_if_new(b"two", LATER)
    seen.close()
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "feedback is not accepted: File exists",
        "feedback is accepted again",
    ]


def test_a_store_is_checked_as_it_will_be_used(tmp_path):
    SqliteTokenStore(tmp_path / "made" / "here").check()
    SqliteTokenStore(tmp_path / "made" / "here").check()
    (tmp_path / "file").write_text("a file")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "feedback.sqlite").write_bytes(b"no database " * 1000)
    for folder, reason in (("file", "File exists"), ("damaged", "file is not a database")):
        with pytest.raises(ConfigurationError, match=rf"expected to be able to write .*feedback.sqlite: {reason}"):
            SqliteTokenStore(tmp_path / folder).check()


def test_a_damaged_file_fails_until_it_is_gone(tmp_path):
    (tmp_path / "feedback.sqlite").write_bytes(b"no database " * 1000)
    seen = SqliteTokenStore(tmp_path)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="try again later"):
            seen.add_if_new(b"one", LATER)
    (tmp_path / "feedback.sqlite").unlink()
    assert seen.add_if_new(b"one", LATER)
    seen.close()


def test_others_may_not_read_the_folder(seen, tmp_path):
    seen.add_if_new(b"one", LATER)
    assert (tmp_path / "made" / "here").stat().st_mode & 0o077 == 0


REDIS_RACE = """
import sys
from drugpred.monitoring.feedback.dedup import RedisTokenStore

seen = RedisTokenStore(sys.argv[1])
seen.add_if_new(b"ready" + sys.argv[3].encode(), int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
print(*(int(seen.add_if_new(i.to_bytes(8, "big"), int(sys.argv[2]))) for i in range(500)), flush=True)
"""


@pytest.fixture(scope="module")
def redis():
    with redis_server.running() as running:
        yield running


@pytest.fixture
def seen_redis(redis):
    redis.ask("FLUSHALL")
    seen = RedisTokenStore(redis.patient_url)
    yield seen
    seen.close()


def test_in_redis_the_first_time_is_reported_once_to_all(seen_redis, redis):
    other = RedisTokenStore(redis.patient_url)
    assert [seen_redis.add_if_new(b"one", LATER), other.add_if_new(b"one", LATER), other.add_if_new(b"two", LATER)] == [
        True,
        False,
        True,
    ]
    other.close()


def test_of_threads_that_race_for_redis_one_is_first(seen_redis):
    with ThreadPoolExecutor(40) as pool:  # more than there are connections
        told = list(pool.map(lambda i: seen_redis.add_if_new((i % 50).to_bytes(8, "big"), LATER), range(2000)))
    assert sum(told) == 50


def test_of_processes_that_race_for_redis_one_is_first(seen_redis, redis):
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", REDIS_RACE, redis.patient_url, str(LATER), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    told = []
    for racer in racers:
        output, errors = racer.communicate(timeout=60)
        assert racer.returncode == 0, errors
        told.append([int(word) for word in output.split()])
    assert [sum(both) for both in zip(*told, strict=True)] == [1] * 500


def test_redis_deletes_expired_tokens_but_not_before(seen_redis, redis):
    """Nor where its clock is ahead of the one by which the token is still good."""
    just_expired = int(time.time()) - 60
    assert seen_redis.add_if_new(b"one", just_expired)
    assert not seen_redis.add_if_new(b"one", just_expired)
    [name] = [line for line in redis.ask("KEYS", "*").split() if line.startswith(b"drugpred:")]
    left = int(redis.ask("TTL", name.decode()).split()[0].removeprefix(b":"))
    assert 0 < left <= 24 * 3600


def test_without_redis_nothing_is_answered_until_it_is_back():
    with redis_server.running() as redis:
        seen = RedisTokenStore(redis.url)
        assert seen.add_if_new(b"one", LATER)
        redis.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="try again later"):
                seen.add_if_new(b"two", LATER)
        redis.start()
        assert seen.add_if_new(b"two", LATER)
        assert not seen.add_if_new(b"two", LATER)
        seen.close()


def test_a_redis_that_hangs_fails_soon_and_is_not_asked_twice():
    """An answer that was lost would otherwise make the first time look like the second."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(0)
        seen = RedisTokenStore(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreUnavailableError):
            seen.add_if_new(b"one", LATER)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
        seen.close()


def test_a_redis_that_is_full_or_wants_another_password_fails():
    with redis_server.running("--maxmemory", "1", "--maxmemory-policy", "noeviction") as redis:
        seen = RedisTokenStore(redis.url)
        with pytest.raises(StoreUnavailableError):
            seen.add_if_new(b"one", LATER)
        seen.close()
    with redis_server.running("--requirepass", "right") as redis:
        for password, answer in (("wrong", None), ("right", True)):
            seen = RedisTokenStore(redis.url.replace("//", f"//:{password}@"))
            if answer is None:
                with pytest.raises(StoreUnavailableError):
                    seen.add_if_new(b"one", LATER)
            else:
                assert seen.add_if_new(b"one", LATER)
            seen.close()


def test_a_malformed_url_is_reported_without_its_password():
    with pytest.raises(ConfigurationError, match="DRUGPRED_REDIS_URL: expected redis://") as raised:
        RedisTokenStore("redis://:marked@host:port")
    assert "marked" not in str(raised.value)
