"""Stores of used prediction ids, so that each counts once, on any worker.

A token is stored as its nonce, a random number that identifies nobody, until it expires.
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

_UNKNOWN: Final = "expected a working store of used ids; try again later"
_BUSY_SECONDS: Final = 1.0  # how long to wait for another worker, whose write takes less than a millisecond

_PRUNE_SECONDS: Final = 3600

_SETTLED_SECONDS: Final = 60.0  # how long it must work before the log reports that it works again

_PAGE_BYTES: Final = 4096
_MAX_BYTES: Final = 1 << 30  # size of the file, for some 50 million tokens

_REDIS: Final[dict[str, Any]] = {
    "max_connections": 16,
    "timeout": 1.0,  # seconds to wait for a connection
    "socket_connect_timeout": 0.25,
    "socket_timeout": 0.25,
}

_CLOCK_SECONDS: Final = 24 * 3600  # how far the clock of Redis may be ahead

# One index does it all: it is ordered by expiry, which never changes. Inserts are random only near its end.
_TABLE: Final = "CREATE TABLE IF NOT EXISTS seen (until INTEGER, nonce BLOB, PRIMARY KEY (until, nonce)) WITHOUT ROWID"


class TokenStore(Protocol):
    """A store of used tokens."""

    def add_if_new(self, nonce: bytes, until: int) -> bool:
        """Store a token until it expires; return whether it is new. Exactly one concurrent caller gets True.

        Raises
        ------
        StoreUnavailableError
            The store does not answer. The token may be tried again.
        """


class SqliteTokenStore:
    """Tokens in a file that the workers of one machine share; one thread at a time may use it.

    Parameters
    ----------
    folder : Path
        Folder on a local disk (file locks of network file systems are unreliable). It is created if missing.
    most_bytes : int, optional
        Size limit of the file; when it is reached, no token is accepted until one expires.
    """

    def __init__(self, folder: Path, most_bytes: int = _MAX_BYTES) -> None:
        self._path = folder / "feedback.sqlite"
        self._most_pages = most_bytes // _PAGE_BYTES
        self._connection: sqlite3.Connection | None = None
        self._prune_at = 0.0
        self._failures = FailureLog(logger, f"{self._path}: feedback is accepted again")

    def check(self) -> None:
        """Check that tokens can be stored.

        Raises
        ------
        ConfigurationError
            The file cannot be written.
        """
        try:
            connection = self._open()
            with closing(connection):
                connection.execute("BEGIN IMMEDIATE")  # a read-only file refuses this
                connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(f"expected to be able to write {self._path}: {_reason(error)}") from None

    def add_if_new(self, nonce: bytes, until: int) -> bool:
        """Store a token until it expires; return whether it is new.

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
            self.close()  # the next call opens the file again, which may have been repaired
            self._prune_at = 0.0  # and makes room, if it is full and tokens have expired
            self._failures.failed(f"{self._path}: feedback is not accepted: {_reason(error)}")
            raise StoreUnavailableError(_UNKNOWN) from error
        self._failures.worked()
        return new

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._connection is not None:
            with closing(self._connection):
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(0o700, parents=True, exist_ok=True)
        # In autocommit mode each statement is a transaction, so one INSERT decides between processes.
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # If several processes open a new file at once, only one may succeed: the others get "locked" without
            # waiting. One success is enough, because the mode is stored in the file.
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the last tokens, which could then count twice; it loses nothing else.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA max_page_count = {self._most_pages}")
            connection.execute(_TABLE)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prune(self) -> None:
        now = time.monotonic()  # a clock that is never set
        if self._connection is not None and now >= self._prune_at:
            self._connection.execute("DELETE FROM seen WHERE until < ?", (int(time.time()),))
            self._prune_at = now + _PRUNE_SECONDS


class RedisTokenStore:
    """Tokens in a Redis server that all replicas share; several threads may use it at the same time.

    Redis must keep its data: with `appendonly yes`, and without eviction (`maxmemory-policy noeviction`).

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
        from redis import BlockingConnectionPool, Redis  # 12 MB that a single server does not need

        self._redis = Redis.from_pool(redis_pool(url, BlockingConnectionPool))
        self._failures = FailureLog(logger, "Redis remembers feedback again", _SETTLED_SECONDS)

    def add_if_new(self, nonce: bytes, until: int) -> bool:
        """Store a token until it expires; return whether it is new.

        Raises
        ------
        StoreUnavailableError
            Redis does not answer, or refuses. If only its answer is lost, the token counts as used.
        """
        from redis import RedisError

        try:
            # Redis deletes expired keys by its own clock at once, and the token would be new again.
            new = bool(self._redis.set(f"drugpred:seen:{nonce.hex()}", b"", nx=True, exat=until + _CLOCK_SECONDS))
        except (RedisError, OSError) as error:
            # Only the type: the message may quote sent data.
            self._failures.failed(
                f"Redis does not remember feedback ({type(error).__name__}): feedback is not accepted"
            )
            raise StoreUnavailableError(_UNKNOWN) from error
        self._failures.worked()
        return new

    def close(self) -> None:
        """Close the connections; the next call connects again."""
        self._redis.close()


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def token_store(settings: Settings, home: Path) -> TokenStore:
    """Return the store that the settings describe, by default in a folder below `home`.

    Raises
    ------
    ConfigurationError
        DRUGPRED_REDIS_URL is malformed.
    """
    if settings.redis_url:
        return RedisTokenStore(settings.redis_url.get_secret_value())
    return SqliteTokenStore(settings.feedback_folder or home / "feedback")


def redis_pool(url: str, kind: type[_Pool]) -> _Pool:
    """Return a pool of connections to Redis with short timeouts and without retries; it connects later.

    Parameters
    ----------
    url : str
    kind : type
        redis-py's class for threads, or that for event loops.

    Raises
    ------
    ConfigurationError
        The URL is malformed.
    """
    from redis import RedisError

    try:
        pool = kind.from_url(url, **_REDIS)
        pool.connection_class(**pool.connection_kwargs)  # this checks the options of the URL
    except (ValueError, TypeError, RedisError):
        # In no case may the message contain the URL, which may hold a password.
        raise ConfigurationError(
            "DRUGPRED_REDIS_URL: expected redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER], rediss:// for TLS, or "
            "unix://PATH"
        ) from None
    return pool
