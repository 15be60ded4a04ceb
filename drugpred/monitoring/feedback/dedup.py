"""Which tokens were used: each counts once, whichever worker it is sent to.

A token is remembered by its nonce, a random number that tells of nobody, until it expires.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from drugpred.errors import ConfigurationError, StoreUnavailableError
from drugpred.monitoring.failure_log import FailureLog

if TYPE_CHECKING:
    from pathlib import Path

    from redis import asyncio as redis_asyncio
    from redis import connection as redis_connection

    from drugpred.settings import Settings

logger = logging.getLogger(__name__)

_Pool = TypeVar("_Pool", "redis_connection.BlockingConnectionPool", "redis_asyncio.BlockingConnectionPool")

_UNKNOWN: Final = "expected to be able to tell whether it was counted before; try again later"
_BUSY_SECONDS: Final = 1.0  # how long to wait for another worker, which needs well under a millisecond

_PRUNE_SECONDS: Final = 3600

_SETTLED_SECONDS: Final = 60.0  # for how long it works before the log says that it works again

_PAGE_BYTES: Final = 4096
_MAX_BYTES: Final = 1 << 30  # of the file: room for some 50 million tokens

_REDIS: Final[dict[str, Any]] = {
    "max_connections": 16,
    "timeout": 1.0,  # seconds to wait for one of them
    "socket_connect_timeout": 0.25,
    "socket_timeout": 0.25,
}

_CLOCK_SECONDS: Final = 24 * 3600  # by how much the clock of Redis may be ahead

# One tree does it all: its order is that of expiry, and a token's expiry never changes. Random access is to its end.
_TABLE: Final = "CREATE TABLE IF NOT EXISTS seen (until INTEGER, nonce BLOB, PRIMARY KEY (until, nonce)) WITHOUT ROWID"


class TokenStore(Protocol):
    """What remembers tokens."""

    def add_if_new(self, nonce: bytes, until: int) -> bool:
        """Remember a token until it expires, and return whether it is the first time; of many callers one is told so.

        Raises
        ------
        StoreUnavailableError
            It cannot be told now. The token may be tried again.
        """


class SqliteTokenStore:
    """PredictionIdSigner in a file that the workers of one machine share; one thread at a time may use it.

    Parameters
    ----------
    folder : Path
        On a local disk: file locks of network file systems cannot be relied on. Made where it is missing.
    most_bytes : int, optional
        The file grows to no more; then nothing is taken until something expires.
    """

    def __init__(self, folder: Path, most_bytes: int = _MAX_BYTES) -> None:
        self._path = folder / "feedback.sqlite"
        self._most_pages = most_bytes // _PAGE_BYTES
        self._connection: sqlite3.Connection | None = None
        self._prune_at = 0.0
        self._failures = FailureLog(logger, f"{self._path}: feedback is taken again")

    def check(self) -> None:
        """Check that tokens can be remembered.

        Raises
        ------
        ConfigurationError
            The file cannot be written.
        """
        try:
            connection = self._open()
            with closing(connection):
                connection.execute("BEGIN IMMEDIATE")  # which a file that can only be read refuses
                connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(f"expected to be able to write {self._path}: {_reason(error)}") from None

    def add_if_new(self, nonce: bytes, until: int) -> bool:
        """Remember a token until it expires, and return whether it is the first time.

        Raises
        ------
        StoreUnavailableError
            The file cannot be written: the disk is full, or another process holds it.
        """
        try:
            if self._connection is None:
                self._connection = self._open()
            self._prune()
            new = self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (until, nonce)).rowcount == 1
        except (sqlite3.Error, OSError) as error:
            self.close()  # so that the next call finds a file that was put right
            self._failures.failed(f"{self._path}: feedback is not accepted: {_reason(error)}")
            raise StoreUnavailableError(_UNKNOWN) from error
        self._failures.worked()
        return new

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        if self._connection is not None:
            with closing(self._connection):
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(0o700, parents=True, exist_ok=True)
        # In autocommit mode each statement is a transaction: one INSERT decides between processes.
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # Of several that open a new file at once all but one may be told that it is locked, at once whatever the
            # timeout. The one is enough, as the mode is kept in the file.
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
            # A power cut may forget the last tokens, which then could count twice; nothing else can.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA max_page_count = {self._most_pages}")
            connection.execute(_TABLE)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prune(self) -> None:
        now = time.monotonic()  # by a clock that nobody sets
        if self._connection is not None and now >= self._prune_at:
            self._connection.execute("DELETE FROM seen WHERE until < ?", (int(time.time()),))
            self._prune_at = now + _PRUNE_SECONDS


class RedisTokenStore:
    """PredictionIdSigner in a Redis that all replicas share; several threads may use it at the same time.

    Redis has to keep what it was given: with `appendonly yes`, and without evicting (`maxmemory-policy noeviction`).

    Parameters
    ----------
    url : str
        `redis://`, `rediss://` (TLS) or `unix://`.

    Raises
    ------
    ConfigurationError
        The URL is malformed.
    """

    def __init__(self, url: str) -> None:
        from redis import BlockingConnectionPool, Redis  # 12 MB that a server by itself does not need

        self._redis = Redis.from_pool(redis_pool(url, BlockingConnectionPool))
        self._failures = FailureLog(logger, "Redis remembers feedback again", _SETTLED_SECONDS)

    def add_if_new(self, nonce: bytes, until: int) -> bool:
        """Remember a token until it expires, and return whether it is the first time.

        Raises
        ------
        StoreUnavailableError
            Redis does not answer, or refuses. Where only its answer was lost, the token counts as used.
        """
        from redis import RedisError

        try:
            # Redis forgets at once what expired by its own clock, and would take it for new again.
            new = bool(self._redis.set(f"drugpred:seen:{nonce.hex()}", b"", nx=True, exat=until + _CLOCK_SECONDS))
        except (RedisError, OSError) as error:
            # By its type alone: its message may quote what was sent.
            self._failures.failed(
                f"Redis does not remember feedback ({type(error).__name__}): feedback is not accepted"
            )
            raise StoreUnavailableError(_UNKNOWN) from error
        self._failures.worked()
        return new

    def close(self) -> None:
        """Let go of Redis; the next call connects again."""
        self._redis.close()


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def token_store(settings: Settings, home: Path) -> TokenStore:
    """Return what remembers tokens as an operator set it, in a folder below `home` where nothing else is said.

    Raises
    ------
    ConfigurationError
        DRUGPRED_REDIS_URL is malformed.
    """
    if settings.redis_url:
        return RedisTokenStore(settings.redis_url.get_secret_value())
    return SqliteTokenStore(settings.feedback_folder or home / "feedback")


def redis_pool(url: str, kind: type[_Pool]) -> _Pool:
    """Return connections to Redis that give up soon and try nothing twice; none is made yet.

    Parameters
    ----------
    url : str
    kind : type
        redis-py's for threads, or that for event loops.

    Raises
    ------
    ConfigurationError
        The URL is malformed.
    """
    from redis import RedisError

    try:
        pool = kind.from_url(url, **_REDIS)
        pool.connection_class(**pool.connection_kwargs)  # which knows the options that a URL may have
    except (ValueError, TypeError, RedisError):
        # Whatever is wrong, nothing of the URL is told: it may hold a password.
        raise ConfigurationError(
            "DRUGPRED_REDIS_URL: expected redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER], rediss:// for TLS, or "
            "unix://PATH"
        ) from None
    return pool
