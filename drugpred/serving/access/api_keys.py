"""API keys, each with a name and scopes; only their SHA-256 is stored.

A file or an environment variable lists them, one a line::

    NAME SCOPE[,SCOPE...] SHA256     # a comment

Several lines may have one name, so that an old and a new key are valid at the same time.
"""

from __future__ import annotations

import hmac
import logging
import re
import stat
import time
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from drugpred.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pydantic import SecretStr

logger = logging.getLogger(__name__)

_MAX_KEY_BYTES: Final = 256
_MAX_FILE_BYTES: Final = 1 << 16

_LOOK_SECONDS: Final = 1.0  # the file is checked at most this often

_GRACE_SECONDS: Final = 60.0
"""How long the keys of a missing file stay valid: the file may be being replaced."""

_SETTLED_NS: Final = 2_000_000_000  # a file older than this gets another modification time when it changes again

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{64}")


class Scope(StrEnum):
    """What a key gives access to."""

    PREDICT = "predict"
    FEEDBACK = "feedback"
    READ = "read"
    METRICS = "metrics"


class Key(NamedTuple):
    """The name and scopes of an API key."""

    name: str
    scopes: frozenset[Scope]


class Keys:
    """API keys, found by their SHA-256.

    Parameters
    ----------
    listed : iterable of (bytes, Key)
        Each with the SHA-256 of the key.
    """

    def __init__(self, listed: Iterable[tuple[bytes, Key]] = ()) -> None:
        self._listed = tuple(listed)

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the keys of some lines; `;` ends a line too, and `#` starts a comment.

        Raises
        ------
        ConfigurationError
            A line is malformed, or there is no key.
        """
        return cls(_listed(text))

    def __len__(self) -> int:
        return len(self._listed)

    def __add__(self, others: Keys) -> Keys:
        return Keys(self._listed + others._listed)

    def find(self, presented: str | bytes) -> Key | None:
        """Return the key with this text, or None, in constant time."""
        secret = presented.encode(errors="surrogatepass") if isinstance(presented, str) else presented
        if not 0 < len(secret) <= _MAX_KEY_BYTES:
            return None
        digest = sha256(secret).digest()
        found = None
        for known, key in self._listed:  # compares with every key, for constant time
            if hmac.compare_digest(known, digest):
                found = key
        return found


class ReloadingApiKeys:
    """API keys of a file and of the environment; the file is read again when it changes.

    If the changed file is malformed or unreadable, the error is logged and the previous keys stay. If the file is
    missing or lists no key, its keys stay valid for a minute, because it may be being replaced; after that they are
    rejected. The service never becomes open because of a change of the file.

    Parameters
    ----------
    file : Path or None
        DRUGPRED_API_KEYS_FILE.
    text : SecretStr or None
        DRUGPRED_API_KEYS.

    Attributes
    ----------
    enabled : bool
        Whether a key is needed, that is, whether one of the two was given.

    Raises
    ------
    ConfigurationError
        A line is malformed, there is no key, or the file cannot be read.
    """

    def __init__(self, file: Path | None, text: SecretStr | None) -> None:
        self.enabled = file is not None or text is not None
        self._file = file
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._stamp: tuple[int, ...] | None = None
        self._gone_at: float | None = None
        self._told: object = None
        self._given = Keys()
        if text is not None:
            try:
                self._given = Keys.of(text.get_secret_value())
            except ConfigurationError as error:
                raise ConfigurationError(f"DRUGPRED_API_KEYS: {error}") from None
        self._keys = self._given
        if file is not None:
            try:
                stamp = _stamp(file)
                self._take(stamp, Keys.of(_content(file)))
            except (ConfigurationError, OSError) as error:
                raise ConfigurationError(f"DRUGPRED_API_KEYS_FILE: {_reason(error)}") from None

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, presented: str | bytes) -> Key | None:
        """Return the key with this text, or None."""
        if self._file is not None and (now := time.monotonic()) >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._look(self._file, now)
        return self._keys.find(presented)

    def _look(self, file: Path, now: float) -> None:
        stamp = None
        try:
            stamp = _stamp(file)  # before the content, so that a change between the two is noticed the next time
            if stamp != self._stamp:
                self._take(stamp, Keys.of(_content(file)))
        except (_NoneListedError, FileNotFoundError, NotADirectoryError) as error:
            self._miss(file, now, error)
        except (ConfigurationError, OSError) as error:
            self._gone_at = None
            self._log_once((stamp, _reason(error)), f"{file}: {_reason(error)}; the previous keys stay valid")

    def _take(self, stamp: tuple[int, ...], listed: Keys) -> None:
        # A file that has just changed may change again without a new stamp.
        self._stamp = stamp if time.time_ns() - stamp[0] > _SETTLED_NS else None
        self._gone_at = self._told = None
        self._keys = listed + self._given

    def _miss(self, file: Path, now: float, error: Exception) -> None:
        self._stamp = None
        self._gone_at = now if self._gone_at is None else self._gone_at
        if now - self._gone_at < _GRACE_SECONDS:
            self._log_once("gone", f"{file}: {_reason(error)}; its keys stay valid for {_GRACE_SECONDS:.0f} s")
        else:
            self._keys = self._given
            self._log_once("dropped", f"{file}: {_reason(error)}; its keys are no longer valid")

    def _log_once(self, what: object, line: str) -> None:
        if what != self._told:
            logger.warning(line)
            self._told = what


class _NoneListedError(ConfigurationError):
    pass


def _listed(text: str) -> list[tuple[bytes, Key]]:
    listed: dict[bytes, Key] = {}
    for number, line in enumerate(text.split("\n"), 1):
        for part in line.partition("#")[0].split(";"):
            if words := part.split():
                digest, key = _entry(words, number)
                if listed.setdefault(digest, key) != key:
                    raise ConfigurationError(f"line {number}: expected each SHA256 with one name only")
    if not listed:
        raise _NoneListedError("expected at least one line NAME SCOPE[,SCOPE...] SHA256")
    return list(listed.items())


def _entry(words: list[str], number: int) -> tuple[bytes, Key]:
    if len(words) != 3:
        raise ConfigurationError(f"line {number}: expected NAME SCOPE[,SCOPE...] SHA256")
    name, scopes, digest = words
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"line {number}: expected a name of 1 to 64 letters, digits, dots, underscores, dashes"
        )
    try:
        key = Key(name, frozenset(map(Scope, scopes.split(","))))
    except ValueError:
        raise ConfigurationError(f"line {number}: expected scopes of {', '.join(Scope)}, separated by commas") from None
    if not _DIGEST.fullmatch(digest):
        raise ConfigurationError(f"line {number}: expected the SHA-256 of the key as 64 hexadecimal digits")
    return bytes.fromhex(digest), key


def _stamp(file: Path) -> tuple[int, ...]:
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):  # opening a pipe may block forever
        raise ConfigurationError("expected a regular file")
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def _content(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigurationError(f"expected a file of at most {_MAX_FILE_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError("expected a text in UTF-8") from None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"expected a readable file ({error.strerror or type(error).__name__})"
    return str(error)
