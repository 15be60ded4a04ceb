"""Who may call: keys of which only the SHA-256 is known, each with a name and with scopes.

They are listed a line each, in a file or in the environment::

    NAME SCOPE[,SCOPE...] SHA256     # a comment

A name may stand on several lines, so that a new key is taken while the old one still is.
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

_LOOK_SECONDS: Final = 1.0  # the file is looked at no more often

_GRACE_SECONDS: Final = 60.0
"""For how long a file may be gone, as one that is being replaced, before its keys are taken no more."""

_SETTLED_NS: Final = 2_000_000_000  # age from which a file that changes again is sure to get another time of change

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{64}")


class Scope(StrEnum):
    """What a key is good for."""

    PREDICT = "predict"
    FEEDBACK = "feedback"
    READ = "read"
    METRICS = "metrics"


class Key(NamedTuple):
    """What is known of a key but the key."""

    name: str
    scopes: frozenset[Scope]


class Keys:
    """Keys that were listed.

    Parameters
    ----------
    listed : iterable of (bytes, Key)
        Each with the SHA-256 of the key.
    """

    def __init__(self, listed: Iterable[tuple[bytes, Key]] = ()) -> None:
        self._listed = tuple(listed)

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the keys that lines list; `;` ends a line too, and `#` begins a comment.

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
        """Return which key was presented, in a time that does not tell how much of it is right; None for no key."""
        secret = presented.encode(errors="surrogatepass") if isinstance(presented, str) else presented
        if not 0 < len(secret) <= _MAX_KEY_BYTES:
            return None
        digest = sha256(secret).digest()
        found = None
        for known, key in self._listed:  # all of them, whichever it is
            if hmac.compare_digest(known, digest):
                found = key
        return found


class ReloadingApiKeys:
    """Keys of a file and of the environment; the file is read again when it changes.

    A change that is malformed or cannot be read is told in the log, and the keys from before stay. A file that is gone,
    or that lists none, takes its keys with it after a minute: it may be on its way to being replaced, but who removes
    it wants nobody in. Nothing that becomes of the file opens the service.

    Parameters
    ----------
    file : Path or None
        DRUGPRED_API_KEYS_FILE.
    text : SecretStr or None
        DRUGPRED_API_KEYS.

    Attributes
    ----------
    enabled : bool
        Whether a key is needed: either was given.

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
        """Return which key was presented, or None for no key."""
        if self._file is not None and (now := time.monotonic()) >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._look(self._file, now)
        return self._keys.find(presented)

    def _look(self, file: Path, now: float) -> None:
        stamp = None
        try:
            stamp = _stamp(file)  # before the content, so that a change between the two is seen the next time
            if stamp != self._stamp:
                self._take(stamp, Keys.of(_content(file)))
        except (_NoneListedError, FileNotFoundError, NotADirectoryError) as error:
            self._miss(file, now, error)
        except (ConfigurationError, OSError) as error:
            self._gone_at = None
            self._tell((stamp, _reason(error)), f"{file}: {_reason(error)}; the keys from before stay")

    def _take(self, stamp: tuple[int, ...], listed: Keys) -> None:
        # A file that has just changed may change again without its stamp.
        self._stamp = stamp if time.time_ns() - stamp[0] > _SETTLED_NS else None
        self._gone_at = self._told = None
        self._keys = listed + self._given

    def _miss(self, file: Path, now: float, error: Exception) -> None:
        self._stamp = None
        self._gone_at = now if self._gone_at is None else self._gone_at
        if now - self._gone_at < _GRACE_SECONDS:
            self._tell("gone", f"{file}: {_reason(error)}; its keys are taken for {_GRACE_SECONDS:.0f} more seconds")
        else:
            self._keys = self._given
            self._tell("dropped", f"{file}: {_reason(error)}; its keys are taken no more")

    def _tell(self, what: object, line: str) -> None:
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
                    raise ConfigurationError(f"line {number}: expected a SHA256 that stands with one name and scopes")
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
    if not stat.S_ISREG(found.st_mode):  # to open a pipe may take for ever
        raise ConfigurationError("expected a regular file")
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def _content(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigurationError(f"expected a file of {_MAX_FILE_BYTES} bytes or fewer")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError("expected a text in UTF-8") from None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"expected a file that can be read ({error.strerror or type(error).__name__})"
    return str(error)
