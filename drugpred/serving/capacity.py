"""How much is held at once: what is over it is refused before memory grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drugpred.errors import OverloadedError
from drugpred.limits import MAX_UNREAD_BYTES

if TYPE_CHECKING:
    import asyncio


class CapacityLimiter:
    """Counts what is held, in one event loop.

    Parameters
    ----------
    most : int

    Attributes
    ----------
    held : int
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def acquire(self, amount: int) -> None:
        """Hold so much more.

        Raises
        ------
        OverloadedError
            It would be too much; then it is not held.
        """
        if self.held + amount > self._most:
            raise OverloadedError
        self.held += amount

    def release(self, amount: int) -> None:
        """Hold so much less."""
        self.held -= amount

    def is_full(self) -> bool:
        """Return whether no more can be held."""
        return self.held >= self._most


class SharedCapacityLimiter:
    """Counts what is held by all callers and by each, in one event loop.

    Parameters
    ----------
    most : int
    most_each : int
        Of one caller.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._all = CapacityLimiter(most)
        self._most_each = most_each
        self._by_caller: dict[str, int] = {}

    @property
    def held(self) -> int:
        """How much all of them hold."""
        return self._all.held

    def is_share_full(self, caller: str | None) -> bool:
        """Return whether a caller holds all that one may; nobody does who is not known."""
        return caller is not None and self._by_caller.get(caller, 0) >= self._most_each

    def is_full(self) -> bool:
        """Return whether all that there is is held."""
        return self._all.is_full()

    def acquire(self, amount: int, caller: str | None) -> None:
        """Hold so much more, for a caller if one is known.

        Raises
        ------
        OverloadedError
            It would be too much; then it is not held.
        """
        if caller is None:
            self._all.acquire(amount)
            return
        held = self._by_caller.get(caller, 0) + amount
        if held > self._most_each:
            raise OverloadedError
        self._all.acquire(amount)
        self._by_caller[caller] = held

    def release(self, amount: int, caller: str | None) -> None:
        """Hold so much less."""
        self._all.release(amount)
        if caller is None:
            return
        held = self._by_caller.get(caller, 0) - amount
        if held:
            self._by_caller[caller] = held
        else:
            self._by_caller.pop(caller, None)


class WriteBacklog:
    """Counts the bytes of answers that clients do not take, in one event loop.

    Parameters
    ----------
    most : int

    Attributes
    ----------
    transports : set of asyncio.Transport
        Of the connections whose clients take nothing at the moment.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting = 0
        self.transports: set[asyncio.Transport] = set()

    def acquire(self, amount: int) -> None:
        """Hold an answer of so many bytes that is about to be written.

        Raises
        ------
        OverloadedError
            It would be too much; then it is not held.
        """
        written = sum(transport.get_write_buffer_size() for transport in self.transports)
        if written + self._waiting + amount > self._most:
            raise OverloadedError
        self._waiting += amount

    def release(self, amount: int) -> None:
        """Hold an answer no more: it is written, and its transport counts it."""
        self._waiting -= amount


WRITE_BACKLOG: Final = WriteBacklog(MAX_UNREAD_BYTES)  # of a worker
