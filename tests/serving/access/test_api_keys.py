"""Keys are distinguished, a changed file is followed, and no error opens the service."""

import hmac
import logging
import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from drugpred.errors import ConfigurationError
from drugpred.serving.access import api_keys as module
from drugpred.serving.access.api_keys import Key, Keys, ReloadingApiKeys, Scope

SECRET = "marked-f3c1"


def digest(secret):
    return sha256(secret.encode()).hexdigest()


def line(name, scopes, secret):
    return f"{name} {scopes} {digest(secret)}\n"


@pytest.fixture
def clock(monkeypatch):
    """The time that the keys see; add to it by `clock.now += 1`."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys"


def write(file, content, mtime=1_700_000_000):
    """Replace the file at once, as editors and Kubernetes do; by default it was changed long ago."""
    new = file.with_suffix(".new")
    new.write_text(content)
    os.utime(new, (mtime, mtime))
    new.replace(file)


def test_a_key_is_known_by_its_name_and_scopes():
    keys = Keys.of(f"# who may\n\n{line('a', 'predict', 'one')}  {line('b', 'read,metrics', 'two')}")
    assert keys.find("one") == Key("a", frozenset({Scope.PREDICT}))
    assert keys.find(b"two") == ("b", {"read", "metrics"})
    for presented in ("", "One", "one ", "on", digest("one"), b"\xff", "\ud800", "a"):
        assert keys.find(presented) is None


@pytest.mark.parametrize("end", ["\n", "\r\n", ";", " ; ", " # comment; of a line\n"])
def test_lines_end_in_several_ways(end):
    text = end.join(f"{name} predict {digest(name).upper()}" for name in "ab") + end
    assert [Keys.of(text).find(name).name for name in "ab"] == ["a", "b"]


def test_a_name_may_have_several_keys():
    keys = Keys.of(line("a", "predict", "old") + line("a", "predict,read", "new"))
    assert keys.find("old") == ("a", {"predict"})
    assert keys.find("new") == ("a", {"predict", "read"})


def test_a_long_key_is_unknown():
    longest = "k" * 256
    keys = Keys.of(line("a", "read", longest) + line("b", "read", longest + "k"))
    assert keys.find(longest).name == "a"
    assert keys.find(longest + "k") is None


def test_every_byte_of_a_digest_counts():
    for place in range(32):
        other = bytearray.fromhex(digest("one"))
        other[place] ^= 1
        assert Keys.of(f"a predict {other.hex()}").find("one") is None


def test_the_empty_key_is_unknown():
    assert Keys.of(line("a", "read", "")).find("") is None


def test_every_key_is_compared(monkeypatch):
    compared = []

    def compare(left, right):
        compared.append((left, right))
        return hmac.compare_digest(left, right)

    keys = Keys.of("".join(line(f"k{i}", "read", str(i)) for i in range(10)))
    monkeypatch.setattr(module, "hmac", type("hmac", (), {"compare_digest": staticmethod(compare)}))
    seen = []
    for presented in ("0", "5", "9", "none"):
        compared.clear()
        keys.find(presented)
        seen.append([left for left, _ in compared])
    assert seen == [[bytes.fromhex(digest(str(i))) for i in range(10)]] * 4


GOOD = digest("x")


@pytest.mark.parametrize(
    ("text", "number", "expected"),
    [
        (f"{SECRET}", 1, "NAME SCOPE"),
        (f"\n# c\n{SECRET} predict", 3, "NAME SCOPE"),
        (f"a predict {GOOD} {SECRET}", 1, "NAME SCOPE"),
        (f"a predict {SECRET}", 1, "64 hexadecimal"),
        (f"a predict {GOOD}0", 1, "64 hexadecimal"),
        (f"a predict {GOOD[:-1]}g", 1, "64 hexadecimal"),
        (f"a {SECRET} {GOOD}", 1, "predict, feedback, read, metrics"),
        (f"a predict,,read {GOOD}", 1, "predict, feedback, read, metrics"),
        (f"a Predict {GOOD}", 1, "predict, feedback, read, metrics"),
        (f"{SECRET}/ predict {GOOD}", 1, "a name"),
        (f"{'a' * 65} predict {GOOD}", 1, "a name"),
        (f"ä predict {GOOD}", 1, "a name"),
        (f"a predict {GOOD}\nb predict {GOOD}", 2, "one name"),
    ],
)
def test_malformed_lines_are_reported_by_number_and_never_repeated(text, number, expected):
    with pytest.raises(ConfigurationError) as raised:
        Keys.of(text)
    message = str(raised.value)
    assert message.startswith(f"line {number}: expected ")
    assert expected in message
    assert SECRET not in message
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("text", ["", " \n\n", "# none\n;;\n"])
def test_no_keys_are_refused(text):
    with pytest.raises(ConfigurationError, match="at least one line"):
        Keys.of(text)


words = st.sampled_from(
    ["a", "b-1", "predict", "read,metrics", GOOD, digest("y"), " ", "\n", ";", "#", "\r", "\x0b", ","]
)


@given(st.one_of(st.text(), st.lists(st.one_of(words, st.text(max_size=5))).map(" ".join)))
def test_any_text_is_parsed_or_refused_without_being_repeated(text):
    try:
        keys = Keys.of(text)
    except ConfigurationError as error:
        message = str(error)
        assert "expected" in message
        assert not any(word in message for word in text.split() if len(word) > 40)
    else:
        assert len(keys) > 0
        assert keys.find("x") is None or GOOD in text.lower()


@given(st.dictionaries(st.text(min_size=1, max_size=30), st.sets(st.sampled_from(Scope), min_size=1), min_size=1))
def test_listed_keys_are_found_and_no_others(listed):
    keys = Keys.of("".join(f"k {','.join(scopes)} {sha(secret)}\n" for secret, scopes in listed.items()))
    assert {secret: keys.find(secret).scopes for secret in listed} == listed
    assert all(keys.find(secret + "x") is None for secret in listed if secret + "x" not in listed)


def sha(secret):
    return sha256(secret.encode(errors="surrogatepass")).hexdigest()


def test_without_file_and_text_no_key_is_needed():
    keys = ReloadingApiKeys(None, None)
    assert not keys.enabled
    assert keys.find("one") is None


def test_file_and_text_add_up(file):
    write(file, line("a", "read", "one"))
    keys = ReloadingApiKeys(file, SecretStr(line("b", "predict", "two")))
    assert keys.enabled
    assert [keys.find(secret).name for secret in ("one", "two")] == ["a", "b"]
    assert ReloadingApiKeys(None, SecretStr(line("b", "predict", "two"))).enabled


@pytest.mark.parametrize(
    "content", [None, "", "# none", f"a read {SECRET}", "\udcff", "#" * (1 << 16) + "\n", "folder", "pipe"]
)
def test_a_file_that_is_no_good_stops_the_start(file, content):
    if content == "folder":
        file.mkdir()
    elif content == "pipe":
        os.mkfifo(file)
    elif content is not None:
        file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=r"^DRUGPRED_API_KEYS_FILE: .*expected") as raised:
        ReloadingApiKeys(file, SecretStr(line("b", "read", "two")))
    assert SECRET not in str(raised.value)


def test_a_text_that_is_no_good_stops_the_start():
    for text in (" ", f"a {SECRET}"):
        with pytest.raises(ConfigurationError, match=r"^DRUGPRED_API_KEYS: .*expected") as raised:
            ReloadingApiKeys(None, SecretStr(text))
        assert SECRET not in str(raised.value)


def test_keys_are_rotated_without_a_restart(file, clock):
    write(file, line("a", "read", "old"))
    keys = ReloadingApiKeys(file, None)
    write(file, line("a", "read", "old") + line("a", "read", "new"))
    clock.now += 1
    assert [keys.find(secret).name for secret in ("old", "new")] == ["a", "a"]
    write(file, line("a", "read", "new"))
    clock.now += 1
    assert keys.find("old") is None
    assert keys.find("new").name == "a"


def test_the_file_is_looked_at_once_a_second(file, clock, monkeypatch):
    write(file, line("a", "read", "one"))
    keys = ReloadingApiKeys(file, None)
    looks = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **options: looks.append(self) or stat(self, **options))
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("read, though it did not change"))
    for _ in range(30):
        clock.now += 0.1
        assert keys.find("one")
    assert len(looks) in (2, 3)


def test_a_change_within_the_same_tick_is_seen(file, clock):
    """The time of change, the size and the inode stay the same where two changes follow each other closely."""
    file.write_text(line("a", "read", "one"))
    found = file.stat()
    keys = ReloadingApiKeys(file, None)
    with file.open("r+") as opened:
        opened.write(line("a", "read", "two"))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    clock.now += 1
    assert keys.find("two")
    assert keys.find("one") is None


def test_a_symbolic_link_is_followed_as_it_is_swapped(tmp_path, clock):
    """Like Kubernetes with mounted files: ..data points to another folder."""
    for version, secret in (("v1", "one"), ("v2", "two")):
        (tmp_path / version).mkdir()
        write(tmp_path / version / "keys", line("a", "read", secret))  # of the same size and time
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "keys").symlink_to("..data/keys")
    keys = ReloadingApiKeys(tmp_path / "keys", None)
    assert keys.find("one")
    (tmp_path / "..tmp").symlink_to("v2")
    (tmp_path / "..tmp").replace(tmp_path / "..data")
    clock.now += 1
    assert keys.find("one") is None
    assert keys.find("two")


@pytest.mark.parametrize("content", [f"a read {SECRET}", SECRET, "\udcff", "folder", "pipe", "loop"])
def test_a_malformed_change_keeps_the_keys_and_is_logged_once(file, clock, caplog, content):
    write(file, line("a", "read", "one"))
    keys = ReloadingApiKeys(file, None)
    file.unlink()
    if content == "folder":
        file.mkdir()
    elif content == "pipe":
        os.mkfifo(file)
    elif content == "loop":
        file.symlink_to(file.name)
    else:
        file.write_bytes(content.encode(errors="surrogateescape"))
    for _ in range(200):
        clock.now += 1
        assert keys.find("one")
    assert len(caplog.records) == 1
    assert "the previous keys stay valid" in caplog.text
    assert SECRET not in caplog.text
    file.rmdir() if content == "folder" else file.unlink()
    write(file, f"a read {SECRET}", mtime=1_600_000_000)
    clock.now += 1
    assert keys.find("one")
    assert len(caplog.records) == 2
    # Of another time than the first file, whose inode it may have.
    write(file, line("a", "read", "two"), mtime=1_500_000_000)
    clock.now += 1
    assert keys.find("two")
    assert keys.find("one") is None


@pytest.mark.parametrize("content", [None, "", "# nobody any more\n"])
def test_a_file_that_is_gone_takes_its_keys_with_it_after_a_minute(file, clock, caplog, content):
    write(file, line("a", "read", "one"))
    keys = ReloadingApiKeys(file, SecretStr(line("b", "read", "two")))
    file.unlink() if content is None else write(file, content)
    for _ in range(59):
        clock.now += 1
        assert keys.find("one")
    assert len(caplog.records) == 1
    clock.now += 2
    assert keys.find("one") is None
    assert keys.find("two")
    assert keys.enabled
    clock.now += 100
    assert keys.find("one") is None
    assert len(caplog.records) == 2
    write(file, line("a", "read", "one"))
    clock.now += 1
    assert keys.find("one")
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_file_that_is_gone_for_a_moment_is_not_missed(file, clock):
    write(file, line("a", "read", "one"))
    keys = ReloadingApiKeys(file, None)
    for _ in range(3):
        file.unlink()
        clock.now += 40
        assert keys.find("one")
        write(file, line("a", "read", "one"))
        clock.now += 1
        assert keys.find("one")
